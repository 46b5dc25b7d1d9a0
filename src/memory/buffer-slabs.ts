/**
 * Small buffers are cut from slabs that Node takes from the system, and a slab is given back when the last of them is: one
 * id that is kept holds the whole of it. Node's slabs have 64 KiB. With smaller ones a connection, or a row that was read,
 * leaves less behind; what is larger than half of one has memory of its own.
 */
import { Buffer } from 'node:buffer';

export const SLAB_BYTES = 16 * 1024;

/** For the whole process; slabs that are there stay as they are. */
export function useSmallSlabs(): void {
  Buffer.poolSize = SLAB_BYTES;
}
