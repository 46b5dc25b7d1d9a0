/** What a client turned on for the rest of its connection (RFC 5161, RFC 7162 §3.1, §3.2.3). */
export type Enabled = 'CONDSTORE' | 'QRESYNC';
