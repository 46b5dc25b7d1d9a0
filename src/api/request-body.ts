/**
 * Reading the body of a request: into one buffer, within its limit. Messages of all requests together have a budget, and
 * who sends slowly keeps its place in it only while nobody else needs one.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './errors.ts';
import { cutOff } from './request-limits.ts';

/** Whoever is refused for want of memory comes back soon. */
const BUSY_RETRY_SECONDS = 5;
/** For a body that does not say how long it is. */
const FIRST_BYTES = 16 * 1024;
/** 2 Mbit/s: the largest message then takes 235 s. */
export const MIN_BYTES_PER_SECOND = 256 * 1024;
/** Nobody is judged before that. */
export const RATE_GRACE_MS = 10_000;

/** A message on its way in. */
export interface Upload {
  readonly announcedBytes: number;
  readonly startedMs: number;
  receivedBytes: number;
}

export interface BodyBudget {
  /** Takes what the request announces until it is answered. Throws ApiError `too_large`, `unavailable`. */
  take(request: FastifyRequest, reply: FastifyReply, maxBytes: number): Upload;
}

export function createBodyBudget(options: { totalBytes: number; clock: () => Date }): BodyBudget {
  const nowMs = (): number => options.clock().getTime();
  const uploads = new Map<Upload, () => void>();
  let freeBytes = options.totalBytes;

  const isSlow = ({ startedMs, receivedBytes }: Upload): boolean => {
    const tookMs = nowMs() - startedMs;
    return tookMs > RATE_GRACE_MS && (receivedBytes * 1000) / tookMs < MIN_BYTES_PER_SECOND;
  };
  const cutSlow = (): void => {
    for (const [upload, cut] of uploads) if (isSlow(upload)) cut();
  };

  return {
    take(request, reply, maxBytes) {
      const announcedBytes = Number(request.headers['content-length'] ?? maxBytes);
      if (announcedBytes > maxBytes) throw new ApiError('too_large');
      if (announcedBytes > freeBytes) {
        cutSlow();
        throw new ApiError('unavailable', { retryAfterSeconds: BUSY_RETRY_SECONDS });
      }
      const upload = { announcedBytes, startedMs: nowMs(), receivedBytes: 0 };
      freeBytes -= announcedBytes;
      uploads.set(upload, () => {
        if (!request.raw.complete) cutOff(request, reply);
      });
      reply.raw.once('close', () => {
        uploads.delete(upload);
        freeBytes += announcedBytes;
      });
      return upload;
    },
  };
}

/** The whole body, in a buffer of its own. Throws ApiError `too_large`, errors of the connection. */
export function readBody(
  { headers, upload }: FastifyRequest,
  payload: IncomingMessage,
  maxBytes: number,
): Promise<Buffer> {
  const announcedBytes = Number(headers['content-length'] ?? Math.min(FIRST_BYTES, maxBytes));
  // Before memory is taken for it: anybody can announce anything.
  if (announcedBytes > maxBytes) return Promise.reject(new ApiError('too_large'));
  const bytes = new BodyBytes(announcedBytes);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      payload.off('data', take).off('end', ended).off('error', failed);
    };
    const failed = (error: Error): void => {
      stop();
      reject(error);
    };
    const take = (chunk: Buffer): void => {
      if (bytes.sizeBytes + chunk.length > maxBytes) failed(new ApiError('too_large'));
      else bytes.append(chunk);
      if (upload !== null) upload.receivedBytes = bytes.sizeBytes;
    };
    const ended = (): void => {
      stop();
      resolve(bytes.whole());
    };
    payload.on('data', take).on('end', ended).on('error', failed);
  });
}

/** One buffer of the announced size; a body that does not announce it makes it grow. */
class BodyBytes {
  sizeBytes = 0;
  #storage: Buffer;

  constructor(announcedBytes: number) {
    this.#storage = Buffer.allocUnsafeSlow(announcedBytes);
  }

  append(chunk: Buffer): void {
    const needed = this.sizeBytes + chunk.length;
    if (needed > this.#storage.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#storage.length));
      this.#storage.copy(larger, 0, 0, this.sizeBytes);
      this.#storage = larger;
    }
    chunk.copy(this.#storage, this.sizeBytes);
    this.sizeBytes = needed;
  }

  whole(): Buffer {
    return this.#storage.subarray(0, this.sizeBytes);
  }
}
