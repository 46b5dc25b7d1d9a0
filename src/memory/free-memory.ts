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
