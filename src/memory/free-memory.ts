/**
 * A message of 25 MB passes through several buffers of its size, and the garbage collector is in no hurry with memory that
 * is not its own: what is used up is given back at once, so that a large message needs memory for two of them, not eight.
 */
const LARGE_BYTES = 1024 * 1024;

/** `bytes` must not be used any more: it is empty from here on. Small ones, and parts of others, are left alone. */
export function freeMemory(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const ownsAll = buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength;
  if (ownsAll && bytes.byteLength >= LARGE_BYTES) buffer.transfer(0);
}

/** From this size on a message is worth a pause of the program. */
const WORTH_A_PAUSE_BYTES = 4 * 1024 * 1024;

/**
 * Around work on a message of `sizeBytes`: what nobody refers to any more is given back before more is taken, base64 of a large
 * attachment above all, which is one string. It takes some tens of milliseconds, so small messages do without. Only a program
 * that was started with the flags of runtime.json can do it; every other one needs more memory.
 */
export function collectGarbage(sizeBytes: number): void {
  if (sizeBytes >= WORTH_A_PAUSE_BYTES) globalThis.gc?.();
}
