/**
 * The minting kernel: BLAKE2b in WebAssembly, two tries side by side, made for one shape of last block.
 *
 * The code is generated where it runs, in a few milliseconds, because a kernel that knows which words of the last
 * block are zero and which one counts leaves out the work that does not change from try to try: additions of zero,
 * most of the first round, and the parts of the last round the first digest word does not need.
 */
import { BLOCK_SIZE_BYTES, compress, WORDS_PER_BLOCK } from './blake2b.ts';
import { Graph } from './graph.ts';
import { lower, PAIR, SCALAR } from './lower.ts';
import { encodeModule, I32, I64, op, V128, type WasmFunction } from './wasm.ts';

/** Where the kernel's inputs lie in its memory, in bytes. All words are little-endian. */
export const LAYOUT = {
  /** Eight chaining words. */
  state: 0,
  /** Bytes hashed up to and including the block. */
  length: 64,
  /** Bits of the digest's first word that must be zero. */
  mask: 72,
  block: 128,
} as const;

const STATE_WORDS = 8;
const WORD_SIZE_BYTES = 8;

/** What a kernel is made for. */
export interface KernelShape {
  /** Words of the last block that may be other than zero, 1 to 16. */
  usedWords: number;
  /** Index of the word that counts. */
  counterWord: number;
}

export interface KernelExports {
  memory: WebAssembly.Memory;
  /** Replaces the state by that after `block`, which is not the last one. */
  absorb(): void;
  /**
   * Tries `pairs` × 2 values of the counting word from `start` on, with `block` as the last block. Returns how far
   * from `start` the first hit lies, or `pairs` × 2. `pairs` is 1 to 2^30 − 1.
   */
  search(start: bigint, pairs: number): number;
}

/** The bytes of the kernel's module; the same for the same shape. */
export function generateKernel(shape: KernelShape): Uint8Array<ArrayBuffer> {
  return encodeModule([absorbFunction(), searchFunction(shape)]);
}

const compiled = new Map<string, WebAssembly.Module>();

/** A kernel with a memory of its own. Its code is made once per shape and thread: 31 shapes of about 30 KB each. */
export function instantiateKernel(shape: KernelShape): KernelExports {
  const name = `${shape.usedWords}/${shape.counterWord}`;
  const module = compiled.get(name) ?? new WebAssembly.Module(generateKernel(shape));
  compiled.set(name, module);
  return new WebAssembly.Instance(module).exports as unknown as KernelExports;
}

function absorbFunction(): WasmFunction {
  const graph = new Graph();
  const state = loadWords(graph, LAYOUT.state, STATE_WORDS);
  const message = loadWords(graph, LAYOUT.block, WORDS_PER_BLOCK);
  const outputs = compress(graph, { state, message, length: graph.load(LAYOUT.length), isLast: false });
  const lowered = lower({ graph, outputs, lanes: SCALAR, firstLocal: 0 });
  const stores = lowered.outputs.flatMap((local, i) => [
    ...op.i32Constant(LAYOUT.state + WORD_SIZE_BYTES * i),
    ...op.get(local),
    ...op.i64StoreAt(0),
  ]);
  const body = [...lowered.prologue, ...lowered.body, ...stores];
  return { name: 'absorb', parameters: [], results: [], locals: lowered.locals, body };
}

/** Locals of `search`: the two parameters, then its own, then those of the graph. */
const START = 0;
const PAIRS = 1;
const INDEX = 2;
const COUNTER = 3;
const FIRST_FREE = 4;

function searchFunction(shape: KernelShape): WasmFunction {
  const { graph, digest } = searchGraph(shape);
  const lowered = lower({ graph, outputs: [digest], lanes: PAIR, firstLocal: FIRST_FREE, counterLocal: COUNTER });
  const mask = FIRST_FREE + lowered.locals.length;
  const masked = mask + 1;
  const setUp = [
    ...[...op.get(START), ...op.splat, ...op.lanes(0n, 1n), ...op.add, ...op.set(COUNTER)],
    ...[...op.splatLoad(LAYOUT.mask), ...op.set(mask)],
  ];
  const digestInput = [...op.get(lowered.outputs[0] ?? 0), ...op.get(mask), ...op.and, ...op.tee(masked)];
  const leaveOnHit = [...digestInput, ...op.allLanesTrue, ...op.i32IsZero, ...op.branchIf(1)];
  const step = [
    ...[...op.get(COUNTER), ...op.lanes(2n, 2n), ...op.add, ...op.set(COUNTER)],
    ...[...op.get(INDEX), ...op.i32Constant(2), ...op.i32Add, ...op.tee(INDEX)],
    ...[...op.get(PAIRS), ...op.get(PAIRS), ...op.i32Add, ...op.i32LessThan],
  ];
  const loop = [...op.loop, ...lowered.body, ...leaveOnHit, ...step, ...op.branchIf(0), ...op.end];
  const missed = [...op.get(INDEX), ...op.return];
  const hitLane = [...op.i32Constant(1), ...op.get(masked), ...op.lowLane, ...op.i64IsZero, ...op.i32Subtract];
  return {
    name: 'search',
    parameters: [I64, I32],
    results: [I32],
    locals: [I32, V128, ...lowered.locals, V128, V128],
    body: [
      ...[...setUp, ...lowered.prologue],
      ...[...op.block, ...loop, ...missed, ...op.end],
      ...[...op.get(INDEX), ...hitLane, ...op.i32Add],
    ],
  };
}

/** The first word of the digest as it depends on the counting word. */
function searchGraph(shape: KernelShape): { graph: Graph; digest: number } {
  const graph = new Graph();
  const state = loadWords(graph, LAYOUT.state, STATE_WORDS);
  const message = Array.from({ length: WORDS_PER_BLOCK }, (_, i) => {
    if (i === shape.counterWord) return graph.counter();
    return i < shape.usedWords ? graph.load(LAYOUT.block + WORD_SIZE_BYTES * i) : null;
  });
  const [digest] = compress(graph, { state, message, length: graph.load(LAYOUT.length), isLast: true });
  if (digest === undefined) throw new RangeError('compress returned no words');
  return { graph, digest };
}

function loadWords(graph: Graph, address: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => graph.load(address + WORD_SIZE_BYTES * i));
}

/** The shape for a message of `lengthBytes`, whose last 32 bytes may be chosen: the last whole word counts. */
export function shapeFor(lengthBytes: number): KernelShape {
  const lastBlockBytes = ((lengthBytes - 1) % BLOCK_SIZE_BYTES) + 1;
  const wholeWords = Math.floor(lastBlockBytes / WORD_SIZE_BYTES);
  return { usedWords: Math.ceil(lastBlockBytes / WORD_SIZE_BYTES), counterWord: Math.max(0, wholeWords - 1) };
}
