/** Says by its exit code whether the API answers here: for a container's health check. */
import { get } from 'node:https';
import { loadConfig } from '../config.ts';

const TIMEOUT_MS = 4_000;
const config = await loadConfig({ path: process.argv[2] });
const { host, port } = config.listen.api ?? { host: '127.0.0.1', port: 8443 };
const here = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
/** Only whether this machine's own listener answers: its certificate is made for the public name. */
const request = get({
  host: here,
  port,
  path: '/.well-known/smimp.txt',
  rejectUnauthorized: false,
  timeout: TIMEOUT_MS,
});
request.on('response', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1));
request.on('timeout', () => process.exit(1));
request.on('error', () => process.exit(1));
