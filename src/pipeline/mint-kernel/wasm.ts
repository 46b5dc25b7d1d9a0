/** Bytes of a WebAssembly module (WebAssembly Core 2 §5): just the instructions and sections the kernel needs. */

export type Code = readonly number[];

export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;
export type ValueType = typeof I32 | typeof I64 | typeof V128;

const VECTOR_PREFIX = 0xfd;
const EMPTY_BLOCK = 0x40;

/** LEB128 of a natural number below 2^32. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >>> 7;
  return rest === 0 ? [low] : [low | 0x80, ...unsigned(rest)];
}

/** Signed LEB128 of a 64-bit word. */
function signed(value: bigint): number[] {
  const low = Number(BigInt.asUintN(7, value));
  const rest = value >> 7n;
  const isLast = rest === ((low & 0x40) === 0 ? 0n : -1n);
  return isLast ? [low] : [low | 0x80, ...signed(rest)];
}

function littleEndian(word: bigint): number[] {
  return Array.from({ length: 8 }, (_, i) => Number((word >> BigInt(8 * i)) & 0xffn));
}

const vector = (opcode: number): number[] => [VECTOR_PREFIX, ...unsigned(opcode)];
const memory = (alignment: number, address: number): number[] => [alignment, ...unsigned(address)];

export const op = {
  block: [0x02, EMPTY_BLOCK],
  loop: [0x03, EMPTY_BLOCK],
  end: [0x0b],
  return: [0x0f],
  branchIf: (depth: number) => [0x0d, ...unsigned(depth)],
  get: (local: number) => [0x20, ...unsigned(local)],
  set: (local: number) => [0x21, ...unsigned(local)],
  tee: (local: number) => [0x22, ...unsigned(local)],
  i32Constant: (value: number) => [0x41, ...signed(BigInt(value))],
  i32IsZero: [0x45],
  i32LessThan: [0x49],
  i32Add: [0x6a],
  i32Subtract: [0x6b],
  i64IsZero: [0x50],
  i64Constant: (value: bigint) => [0x42, ...signed(BigInt.asIntN(64, value))],
  i64Load: (address: number) => [...op.i32Constant(0), 0x29, ...memory(3, address)],
  i64StoreAt: (address: number) => [0x37, ...memory(3, address)],
  i64Add: [0x7c],
  i64Xor: [0x85],
  i64RotateRight: [0x8a],
  splatLoad: (address: number) => [...op.i32Constant(0), ...vector(0x0a), ...memory(3, address)],
  /** Both 64-bit lanes of a vector, the lower one first. */
  lanes: (low: bigint, high: bigint) => [...vector(0x0c), ...littleEndian(low), ...littleEndian(high)],
  shuffle: (bytes: readonly number[]) => [...vector(0x0d), ...bytes],
  splat: vector(0x12),
  lowLane: [...vector(0x1d), 0],
  and: vector(0x4e),
  xor: vector(0x51),
  allLanesTrue: vector(0xc3),
  shiftRight: vector(0xcd),
  add: vector(0xce),
} as const;

export interface WasmFunction {
  name: string;
  parameters: readonly ValueType[];
  results: readonly ValueType[];
  /** Types of the locals that follow the parameters. */
  locals: readonly ValueType[];
  body: Code;
}

/** A module that exports the functions and one 64 KiB memory called `memory`. */
export function encodeModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const index = functions.map((_, i) => i);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, functions.map(signature)),
    ...section(3, index.map(unsigned)),
    ...section(5, [[0x01, 0x01, 0x01]]),
    ...section(7, [exported('memory', 0x02, 0), ...functions.map((f, i) => exported(f.name, 0x00, i))]),
    ...section(10, functions.map(code)),
  ]);
}

function section(id: number, items: readonly Code[]): number[] {
  const content = list(items);
  return [id, ...unsigned(content.length), ...content];
}

function list(items: readonly Code[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function signature(f: WasmFunction): number[] {
  return [0x60, ...list(f.parameters.map((type) => [type])), ...list(f.results.map((type) => [type]))];
}

function exported(name: string, kind: number, index: number): number[] {
  return [...list([...Buffer.from(name)].map((byte) => [byte])), kind, ...unsigned(index)];
}

function code(f: WasmFunction): number[] {
  const content = [...list(f.locals.map((type) => [1, type])), ...f.body, ...op.end];
  return [...unsigned(content.length), ...content];
}
