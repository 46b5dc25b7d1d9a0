/** Limits and times of the API (SMIMP 0.1 §4.3, §5), each with the reason the profile gives or implies. */

/** A message body as its sender sees it; advertised in `server_information`. */
export const MAX_MESSAGE_BYTES = 25 * 1024 * 1024;
/** Every request but those that carry a message. */
export const MAX_REQUEST_BYTES = 256 * 1024;
/**
 * A request that carries a message. The sender's 25 MiB grow by a third as base64 inside the body, by at most 3 % of
 * padding at that size, by another third as base64 of the ciphertext: 46 MiB, and room for the header.
 */
export const MAX_MESSAGE_REQUEST_BYTES = 56 * 1024 * 1024;
/** Ephemeral keys an account may have in its pool. */
export const MAX_EPHEMERAL_KEYS = 500;
export const MAX_PROFILE_UPDATES_PER_DAY = 10;
export const MAX_AVATAR_BYTES = 256 * 1024;
/** A request that carries an avatar: 341.4 KiB as base64, and room for the rest. */
export const MAX_AVATAR_REQUEST_BYTES = 352 * 1024;
/** `extensions_data` of one message. */
export const MAX_EXTENSIONS_BYTES = 64 * 1024;
/** Entries of one list: with their data they fit into one answer. */
export const MAX_LIST_ENTRIES = 2_000;
/** The sealed data of one entry: what is listed, and a note of some hundred characters. */
export const MAX_LIST_DATA_BYTES = 1_024;
export const DEFAULT_FOLDER_PAGE = 100;
export const MAX_FOLDER_PAGE = 500;
/** Longest `wait` of `changes`. */
export const MAX_WAIT_SECONDS = 30;
export const MAX_FOLDER_DEPTH = 16;
/** Tries of a one-time code, counted per account. */
export const MAX_INITIALIZE_TRIES = 5;
/** Unused proof-of-work nonces per session. */
export const MAX_POW_NONCES = 16;

export const LOGIN_TOKEN_SECONDS = 120;
/**
 * Unused login tokens of one address, and of all. Anybody can ask for them, so the oldest go: to take a token from somebody
 * who is logging in, one has to ask for so many between the two calls of the login.
 */
export const MAX_LOGIN_TOKENS_PER_ADDRESS = 1_000;
export const MAX_LOGIN_TOKENS = 100_000;
export const SESSION_SECONDS = 24 * 3600;
export const SESSION_IDLE_SECONDS = 3600;
/** How long an outstanding ephemeral key is given out again to the same sender. */
export const ISSUED_KEY_SECONDS = 3600;
/** Ephemeral keys per sender and day; then the non-ephemeral key. */
export const MAX_KEYS_PER_SENDER_DAY = 20;
/** Share of a pool that one domain of senders may take in a day. */
export const MAX_POOL_SHARE_PER_DOMAIN_DAY = 0.25;
/** A sender's key older than this is fetched again before a signature is checked. */
export const SENDER_KEY_FRESH_SECONDS = 300;
/** How long a replaced non-ephemeral key is still accepted. */
export const REPLACED_KEY_GRACE_SECONDS = 24 * 3600;
/** How long keys under an old master key are accepted after a rotation. */
export const ROTATED_KEY_GRACE_SECONDS = 3600;
/** Fetching a remote user's key for a login, per domain. */
export const MAX_REMOTE_FETCHES_AT_ONCE = 2;
export const MAX_REMOTE_FETCHES_PER_MINUTE = 30;
