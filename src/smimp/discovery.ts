/**
 * Reading `smimp.txt` and `version` (SMIMP 0.1 §2). The raw line is matched before any URL parser sees it: WHATWG
 * parsing turns `0x7f.1` into 127.0.0.1. The resulting base URL is the exact string that a login binds.
 */
import { isDomain, lowerAscii } from './address.ts';
import type { Branded } from './encoding.ts';
import { view } from './encoding.ts';
import { ProfileError } from './errors.ts';

/** `https://` + lowercase host + `:port` unless 443 + path without trailing slash. */
export type BaseUrl = Branded<'BaseUrl'>;

/** Longest `smimp.txt`, the BOM included. */
export const MAX_DISCOVERY_BYTES = 1024;
export const DISCOVERY_PATH = '/.well-known/smimp.txt';
/** Versions this library speaks. */
export const PROTOCOL_VERSIONS: readonly string[] = ['0.1'];

const LINE = /^(?:[hH][tT][tT][pP][sS]:\/\/)?([A-Za-z0-9.-]+)(?::([1-9][0-9]{0,4}))?((?:\/[A-Za-z0-9._~-]+)*)\/?$/;
const PLAIN_HTTP = /^http:\/\//i;
const DEFAULT_PORT = '443';
const MAX_PORT = 65_535;

/** The base URL that one line of text names. Throws `discovery-http`, `discovery-line`. */
export function parseBaseUrl(line: string): BaseUrl {
  if (PLAIN_HTTP.test(line)) throw new ProfileError('discovery-http');
  const [, rawHost = '', port = DEFAULT_PORT, path = ''] = LINE.exec(line) ?? [];
  const host = lowerAscii(rawHost);
  const dotSegment = path.split('/').some((segment) => segment === '.' || segment === '..');
  if (!isDomain(host) || Number(port) > MAX_PORT || dotSegment) throw new ProfileError('discovery-line');
  return `https://${host}${port === DEFAULT_PORT ? '' : `:${port}`}${path}` as BaseUrl;
}

function withoutBom(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/**
 * The base URL in the body of `smimp.txt`: its first line that is not blank. Throws `discovery-size`, `discovery-ascii`,
 * `discovery-empty`, `discovery-http`, `discovery-line`.
 */
export function parseDiscovery(body: Uint8Array): BaseUrl {
  if (body.byteLength > MAX_DISCOVERY_BYTES) throw new ProfileError('discovery-size');
  const bytes = withoutBom(view(body));
  if (bytes.some((byte) => byte > 0x7f)) throw new ProfileError('discovery-ascii');
  const lines = bytes.toString('latin1').split(/\r\n|\n|\r/);
  const line = lines.map((text) => text.replace(/^[ \t]+|[ \t]+$/g, '')).find((text) => text !== '');
  if (line === undefined) throw new ProfileError('discovery-empty');
  return parseBaseUrl(line);
}

const VERSION = /^[0-9]+(?:\.[0-9]+)*$/;

/** Negative when `a` is the smaller version, number by number. */
function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The greatest version both sides name in the same spelling. Throws `no-common-version`. */
export function chooseVersion(server: readonly string[], client: readonly string[] = PROTOCOL_VERSIONS): string {
  const common = client.filter((version) => VERSION.test(version) && server.includes(version)).sort(compareVersions);
  const greatest = common.at(-1);
  if (greatest === undefined) throw new ProfileError('no-common-version');
  return greatest;
}
