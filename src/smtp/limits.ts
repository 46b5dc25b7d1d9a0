/** Limits of an SMTP connection, each with its reason. What an operator may choose stands in config.ts. */

/** RFC 5321 §4.5.3.2.7 lets a client be silent for five minutes. */
export const IDLE_TIMEOUT_MS = 300_000;
/** A handshake takes a few round trips. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;
/** Handshakes under way beyond the connections there may be. */
export const MAX_HANDSHAKES = 100;
/** RFC 4954 §4: lines of AUTH have up to 12,288 octets. Every other command is far shorter. */
export const MAX_COMMAND_BYTES = 12_288;
/** Greeting, TLS, a few wrong passwords; who does more without logging in wants something else. */
export const MAX_UNAUTHENTICATED_COMMANDS = 40;
/** A person mistypes a password once or twice, a program repeats a wrong one for ever. */
export const MAX_LOGIN_FAILURES = 5;
/** Refusals on a connection beyond one for each recipient. */
export const MAX_ERRORS = 30;
/** Commands between two accepted messages, beyond one for each recipient. */
export const MAX_IDLE_COMMANDS = 200;
/**
 * All the time that looking up the recipients of one message may take. Clients wait five minutes for a reply (RFC 5321
 * §4.5.3.2.3); what is not known by then is queued.
 */
export const MAX_LOOKUP_MS = 20_000;
/** One recipient: a server that does not answer in this time is asked again from the queue. */
export const RECIPIENT_LOOKUP_MS = 5_000;
/** All messages that are being received at once, in this many times the largest. Whoever comes too many tries again. */
export const RECEIVING_TIMES_LARGEST = 4;
/** A message that goes on past this many times the limit is not waited for any longer. */
export const OVERSIZE_TIMES_LIMIT = 2;
/** Connections that are in the middle of something when the program ends. */
export const CLOSE_TIMEOUT_MS = 3_000;

// Of mail from outside, where anybody may connect.

/** Servers that have much to bring come again. */
export const MAX_MESSAGES = 100;
/** All of a connection. 33 MiB at 256 kbit/s take 18 minutes. */
export const MAX_SESSION_MS = 1_800_000;
/** Refusals on a connection: more is somebody who tries names. */
export const MAX_MX_ERRORS = 30;
/** RFC 5321 §6.3: at least 100. A message that passed more servers goes round in circles. */
export const MAX_RECEIVED_FIELDS = 100;
/** DKIM signatures and ARC seals. Each costs a question to DNS; lists and forwarders add one each. */
export const MAX_SIGNATURES = 30;
