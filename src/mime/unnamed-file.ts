/** What a part without a name is called: the same when it is read and when it is written. */
export function unnamedFile(type: string): string {
  if (type === 'message/rfc822') return 'message.eml';
  return type === 'text/calendar' ? 'invite.ics' : 'attachment';
}
