/**
 * One connection: commands one after another, answers in order, changes of the mailbox told in between (RFC 3501 §5.2,
 * §7), IDLE (RFC 2177) and STARTTLS (RFC 3501 §6.2.1).
 */
import type { SecureContext } from 'node:tls';
import { MailboxError } from '../mailbox/errors.ts';
import { CommandRate } from './command-rate.ts';
import { hasNews, tellNews, tellSelected } from './commands/notify.ts';
import { capabilitiesOf } from './commands/session.ts';
import { HANDLERS } from './commands/table.ts';
import { type Done, done, type ImapServices, type Login, mailboxOf, type Session } from './context.ts';
import { dialectOf } from './enabled.ts';
import {
  IDLE_TIMEOUT_MS,
  knownLimits,
  MAX_BUFFERED_BYTES,
  STRANGER_LIMITS,
  UNAUTHENTICATED_TIMEOUT_MS,
} from './limits.ts';
import { askForEnd } from './literal-end.ts';
import { Refusal, refusalOf } from './replies.ts';
import type { Selected } from './selected.ts';
import type { Transport } from './transport.ts';
import { requireUids } from './uid-only.ts';
import type { Command } from './wire/commands.ts';
import { CommandDecoder, type DecoderEvent } from './wire/decoder.ts';
import type { Dialect } from './wire/dialect.ts';
import { continuationLine, errorLine, taggedLine, untaggedLine } from './wire/responses.ts';

export class Connection implements Session {
  readonly services: ImapServices;
  readonly enter: Session['enter'];
  login: Login | null = null;
  selected: Selected | null = null;
  client: Session['client'] = { name: null, version: null };
  notify: Session['notify'] = null;
  readonly enabled: Session['enabled'] = new Set();
  loginFailures = 0;
  readonly #transport: Transport;
  readonly #secureContext: () => SecureContext;
  readonly #timeouts: { unauthenticatedMs: number; idleMs: number };
  readonly #decoder = new CommandDecoder({ limits: STRANGER_LIMITS });
  #wake: () => void = () => undefined;
  #timer: NodeJS.Timeout | null = null;
  readonly #rate: CommandRate;
  #badCommands = 0;
  #ending = false;

  constructor(options: {
    services: ImapServices;
    transport: Transport;
    enter: Session['enter'];
    secureContext: () => SecureContext;
    timeouts?: Partial<{ unauthenticatedMs: number; idleMs: number }>;
  }) {
    this.services = options.services;
    this.#rate = new CommandRate(options.services.sessionLimits.commandsPerMinute);
    this.enter = options.enter;
    this.#transport = options.transport;
    this.#secureContext = options.secureContext;
    this.#timeouts = { unauthenticatedMs: UNAUTHENTICATED_TIMEOUT_MS, idleMs: IDLE_TIMEOUT_MS, ...options.timeouts };
  }

  get secure(): boolean {
    return this.#transport.secure;
  }

  get remoteAddress(): string {
    return this.#transport.remoteAddress;
  }

  channelBinding(name: string): Buffer | null {
    return this.#transport.channelBinding(name);
  }

  get compressed(): boolean {
    return this.#transport.compressed;
  }

  get dialect(): Dialect {
    return dialectOf(this.enabled);
  }

  get closed(): boolean {
    return this.#transport.closed;
  }

  /** Serves until the connection ends. Never throws. */
  async serve(): Promise<void> {
    this.#transport.start({ onChunk: (chunk) => this.#receive(chunk), onClose: () => this.#wake() });
    try {
      const capabilities = capabilitiesOf(this);
      await this.send(untaggedLine('OK', 'smimp-bridge ready', { name: 'CAPABILITY', capabilities }));
      while (!this.closed && !this.#ending) await this.#step();
    } catch (error) {
      this.services.events.unexpected('imap connection', error);
    } finally {
      this.#stopTimer();
      this.notify?.stop();
      this.login?.leave();
      if (this.#ending) this.#transport.end();
      else this.#transport.close();
    }
  }

  /** Says goodbye and closes: the server is ending. */
  async shutDown(): Promise<void> {
    await this.#sayGoodbye('The server is going down');
    this.#transport.end();
    this.#wake();
  }

  async #sayGoodbye(why: string): Promise<void> {
    this.#ending = true;
    await this.send(untaggedLine('BYE', why));
  }

  send(...lines: Buffer[]): Promise<void> {
    return lines.length === 0 ? Promise.resolve() : this.#transport.write(...lines);
  }

  setLimits(): void {
    this.#decoder.setLimits(this.login === null ? STRANGER_LIMITS : knownLimits(this.services));
  }

  async readLine(): Promise<Buffer | null> {
    this.#decoder.expectLine();
    for (;;) {
      const event = await this.#nextEvent();
      if (event === null) return null;
      if (event.type === 'line') return event.line;
      this.#decoder.expectCommand();
      await this.#fail(event);
      return null;
    }
  }

  wake(): void {
    this.#wake();
  }

  #receive(chunk: Buffer): void {
    this.#decoder.push(chunk);
    if (this.#decoder.bufferedBytes > MAX_BUFFERED_BYTES) this.#transport.pause();
    this.#wake();
  }

  /** The next event; null when the connection ended or nothing came in time. */
  async #nextEvent(): Promise<DecoderEvent | null> {
    this.#startTimer();
    for (;;) {
      const event = this.#decoder.next();
      if (event !== null || this.closed || this.#ending) {
        this.#stopTimer();
        return event;
      }
      // Between two commands, and not within one that is only half there.
      if (this.#decoder.idle && hasNews(this)) await tellNews(this, { idle: false });
      else await this.#moreInput();
    }
  }

  #moreInput(): Promise<void> {
    this.#transport.resume();
    // Not before login: proxies that log in for their clients may expect nothing between two literals.
    if (this.login !== null) askForEnd(this.#decoder, (line) => this.send(line));
    return new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** A command may take as long as it takes: the time that counts is the client's. */
  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #startTimer(): void {
    this.#stopTimer();
    const afterMs = this.login === null ? this.#timeouts.unauthenticatedMs : this.#timeouts.idleMs;
    this.#timer = setTimeout(() => {
      void this.#sayGoodbye('Nothing came for too long');
      this.#wake();
    }, afterMs);
  }

  async #step(): Promise<void> {
    this.#decoder.setDialect(this.dialect);
    const event = await this.#nextEvent();
    if (event === null) return;
    if (event.type === 'continue') await this.send(continuationLine('Ready'));
    else if (event.type === 'error') await this.#fail(event);
    else if (event.type === 'command') await this.#run(event.command);
  }

  async #fail(event: DecoderEvent): Promise<void> {
    if (event.type !== 'error') return;
    this.services.events.protocolError({ protocol: 'imap', code: event.code });
    await this.send(errorLine(event));
    this.#countMistake(event.fatal);
  }

  #countMistake(fatal: boolean): void {
    this.#badCommands += 1;
    const { badCommands } = this.services.sessionLimits;
    if (fatal || this.#badCommands >= badCommands || this.#hasFailed) this.#ending = true;
  }

  get #hasFailed(): boolean {
    return this.loginFailures >= this.services.sessionLimits.loginFailures;
  }

  async #run(command: Command): Promise<void> {
    try {
      const answer = await this.#handle(command);
      if (answer.bye !== true) await tellSelected(this, answer.mayExpunge);
      if (answer.answered !== true) await this.send(taggedLine(command.tag, 'OK', answer.text, answer.code));
      this.#badCommands = 0;
      if (answer.bye === true) this.#ending = true;
    } catch (error) {
      await this.#refuse(command, error);
    }
  }

  async #refuse({ tag, name }: Command, error: unknown): Promise<void> {
    const refusal = refusalOf(error);
    if (refusal === null) this.services.events.unexpected(`imap ${name}`, error);
    const { status, message, responseCode } = refusal ?? new Refusal('NO', 'Something went wrong here', 'SERVERBUG');
    await this.send(taggedLine(tag, status, message, responseCode));
    if (error instanceof MailboxError && error.code === 'renewed') await this.#sayGoodbye('The mailbox begins anew');
    if (status === 'BAD' || this.#hasFailed) this.#countMistake(false);
  }

  #handle(command: Command): Promise<Done> {
    if (!this.#rate.take(this.services.clock()) && command.name !== 'LOGOUT')
      throw new Refusal('NO', 'Too many commands: wait a minute', 'LIMIT');
    if (command.name === 'STARTTLS') return this.#startTls(command.tag);
    if (command.name === 'COMPRESS') return this.#compress(command);
    if (command.name === 'IDLE') return this.#idle();
    if (this.enabled.has('UIDONLY')) requireUids(command);
    const handler = HANDLERS[command.name] as (session: Session, command: Command) => Promise<Done>;
    return handler(this, command);
  }

  /** What was sent before TLS is forgotten, also what was smuggled in behind the command (CVE-2011-0411). */
  async #startTls(tag: string): Promise<Done> {
    if (this.secure) throw new Refusal('BAD', 'TLS is on already');
    this.#transport.pause();
    this.#decoder.discardInput();
    await this.send(taggedLine(tag, 'OK', 'Begin TLS'));
    this.#decoder.discardInput();
    await this.#transport.startTls(this.#secureContext(), this.#timeouts.unauthenticatedMs);
    return { ...done('TLS is on'), answered: true };
  }

  /** RFC 4978: whatever came behind the command is not compressed yet, and nobody may send it. */
  async #compress({ tag, mechanism }: { tag: string; mechanism: string }): Promise<Done> {
    mailboxOf(this);
    if (mechanism !== 'DEFLATE') throw new Refusal('NO', 'This mechanism is not offered');
    if (this.compressed) throw new Refusal('NO', 'Compression is on already', 'COMPRESSIONACTIVE');
    this.#transport.pause();
    this.#decoder.discardInput();
    await this.#transport.startCompression(taggedLine(tag, 'OK', 'DEFLATE active'), this.services.sessionLimits);
    return { ...done('DEFLATE active'), answered: true };
  }

  /** Tells changes until the client says DONE. */
  async #idle(): Promise<Done> {
    const mailbox = mailboxOf(this);
    let changed = true;
    const stop = mailbox.watch(() => {
      changed = this.notify === null;
      this.#wake();
    });
    try {
      await this.send(continuationLine('idling'));
      this.#decoder.expectLine();
      this.#startTimer();
      for (;;) {
        const event = this.#decoder.next();
        if (event !== null) return this.#endIdle(event);
        if (this.closed || this.#ending) return done('IDLE ended');
        if (changed) {
          changed = false;
          await tellSelected(this, true);
        } else if (hasNews(this)) await tellNews(this, { idle: true });
        else await this.#moreInput();
      }
    } finally {
      this.#decoder.expectCommand();
      stop();
    }
  }

  #endIdle(event: DecoderEvent): Done {
    if (event.type === 'line' && event.line.toString('latin1').trim().toUpperCase() === 'DONE')
      return done('IDLE ended');
    throw new Refusal('BAD', 'IDLE ends with DONE');
  }
}
