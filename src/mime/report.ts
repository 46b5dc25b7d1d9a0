/** A report of the bridge as multipart/report (RFC 3464, RFC 3462): for people, for programs, and the header it is about. */
import { Buffer } from 'node:buffer';
import { type Address, addressParts } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import { formatMailDate } from './date.ts';
import { isMessageId, textField, tokenField } from './headers.ts';
import type { Report } from './legacy-data.ts';
import { markdownToText } from './markdown-to-text.ts';
import { type Entity, textEntity } from './mime-writer.ts';
import { cleanLine } from './text.ts';

const ACTIONS: Readonly<Record<Report['kind'], string>> = { failed: 'failed', delayed: 'delayed', held: 'delayed' };

export function reportEntity(report: Report, about: { from: Address; body: EmailBody }): Entity {
  const readable = textEntity('text/plain', `${markdownToText(about.body.body)}\n`);
  const status: Entity = {
    fields: ['Content-Type: message/delivery-status\r\n'],
    body: Buffer.from(`${messageFields(report, about.from)}\r\n${recipientFields(report)}`, 'latin1'),
  };
  const header: Entity = {
    fields: ['Content-Type: text/rfc822-headers\r\n'],
    body: Buffer.from(originalFields(report), 'latin1'),
  };
  const parameters = [{ name: 'report-type', value: 'delivery-status' }];
  return { subtype: 'report', parameters, children: [readable, status, header] };
}

/** RFC 3464 §2.2. */
function messageFields({ reporter, arrived }: Report, from: Address): string {
  const name = cleanLine(reporter).replace(/[^a-zA-Z0-9.-]/g, '') || addressParts(from).domain;
  return `Reporting-MTA: dns; ${name}\r\nArrival-Date: ${formatMailDate(arrived)}\r\n`;
}

/** RFC 3464 §2.3. */
function recipientFields(report: Report): string {
  const lines = [
    `Final-Recipient: rfc822; ${token(report.recipient)}\r\n`,
    `Action: ${ACTIONS[report.kind]}\r\n`,
    `Status: ${report.status}\r\n`,
    textField('Diagnostic-Code', `${report.diagnostic_type}; ${report.diagnostic}`),
    `Last-Attempt-Date: ${formatMailDate(report.reported)}\r\n`,
    ...(report.until === null ? [] : [`Will-Retry-Until: ${formatMailDate(report.until)}\r\n`]),
  ];
  return lines.join('');
}

function originalFields({ original }: Report): string {
  const id = original.message_id !== null && isMessageId(original.message_id) ? [original.message_id] : [];
  return [
    `Date: ${formatMailDate(original.date)}\r\n`,
    ...(original.to.length === 0
      ? []
      : [
          tokenField(
            'To',
            original.to.map((to, n) => token(to) + (n < original.to.length - 1 ? ',' : '')),
          ),
        ]),
    textField('Subject', original.subject),
    ...(id.length === 0 ? [] : [tokenField('Message-ID', id)]),
  ].join('');
}

const token = (address: string): string => address.replace(/[^\x21-\x7e]/g, '');
