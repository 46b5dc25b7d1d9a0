/**
 * Turns a graph into WebAssembly instructions: on plain 64-bit words, or on two tries side by side in the lanes of a
 * vector. What does not vary goes to the prologue, the rest to the body of the loop.
 *
 * Invariant: a local is used again only after its last reader; locals the body reads from the prologue are kept.
 */
import { countUses, type Graph, type GraphNode, inputsOf, type NodeId, type Rotation } from './graph.ts';
import { type Code, I64, op, V128, type ValueType } from './wasm.ts';

/** How the words of a graph are computed. */
export interface Lanes {
  type: ValueType;
  load(address: number): Code;
  constant(value: bigint): Code;
  add: Code;
  xor: Code;
  /** Rotates what `input` pushes; may use the local `scratch`. */
  rotate(bits: Rotation, scratch: number): Code;
}

export const SCALAR: Lanes = {
  type: I64,
  load: op.i64Load,
  constant: op.i64Constant,
  add: op.i64Add,
  xor: op.i64Xor,
  rotate: (bits) => [...op.i64Constant(BigInt(bits)), ...op.i64RotateRight],
};

export const PAIR: Lanes = {
  type: V128,
  load: op.splatLoad,
  constant: (value) => op.lanes(value, value),
  add: op.add,
  xor: op.xor,
  rotate: rotatePair,
};

/** Turning by whole bytes moves bytes; turning right by 63 is turning left by 1, a doubling and a carry. */
function rotatePair(bits: Rotation, scratch: number): Code {
  if (bits === 63) {
    const doubled = [...op.tee(scratch), ...op.get(scratch), ...op.add];
    return [...doubled, ...op.get(scratch), ...op.i32Constant(63), ...op.shiftRight, ...op.xor];
  }
  return [...op.tee(scratch), ...op.get(scratch), ...op.shuffle(byteOrder(bits))];
}

/** For each byte of the result, the byte of the input it comes from. */
function byteOrder(bits: Rotation): number[] {
  return Array.from({ length: 16 }, (_, i) => (i & 8) | ((i + bits / 8) & 7));
}

export interface Lowered {
  /** Works out, once, all that the body needs. */
  prologue: Code;
  body: Code;
  locals: readonly ValueType[];
  /** The local that holds each output afterwards. */
  outputs: readonly number[];
}

export interface LowerOptions {
  graph: Graph;
  outputs: readonly NodeId[];
  lanes: Lanes;
  /** Index of the first local that is free. */
  firstLocal: number;
  /** The local that holds the counter, where the graph has one. */
  counterLocal?: number;
}

export function lower(options: LowerOptions): Lowered {
  const { graph, outputs, lanes, firstLocal } = options;
  const usesLeft = countUses(graph, outputs);
  const place = new Map<NodeId, number>();
  const free: number[] = [];
  const scratch = firstLocal;
  let next = firstLocal + 1;
  const code = { prologue: [] as number[], body: [] as number[] };

  const release = (id: NodeId, readByLoop: boolean): void => {
    usesLeft[id] = (usesLeft[id] ?? 0) - 1;
    const node = graph.node(id);
    const local = place.get(id);
    const mustStay = node.kind === 'counter' || (readByLoop && !node.varying);
    if (usesLeft[id] === 0 && !mustStay && local !== undefined) free.push(local);
  };
  const emit = (node: GraphNode, id: NodeId): void => {
    const inputs = inputsOf(node);
    const read = inputs.flatMap((input) => op.get(place.get(input) ?? missing()));
    for (const input of inputs) release(input, node.varying);
    const local = free.pop() ?? next++;
    place.set(id, local);
    const target = node.varying ? code.body : code.prologue;
    target.push(...read, ...instruction(node, lanes, scratch), ...op.set(local));
  };

  for (const pass of [false, true]) {
    graph.nodes.forEach((node, id) => {
      if (usesLeft[id] === 0 || node.varying !== pass) return;
      if (node.kind === 'counter') place.set(id, options.counterLocal ?? missing());
      else emit(node, id);
    });
  }
  const locals = Array.from({ length: next - firstLocal }, () => lanes.type);
  return { ...code, locals, outputs: outputs.map((id) => place.get(id) ?? missing()) };
}

function instruction(node: GraphNode, lanes: Lanes, scratch: number): Code {
  switch (node.kind) {
    case 'load':
      return lanes.load(node.address);
    case 'constant':
      return lanes.constant(node.value);
    case 'rotate':
      return lanes.rotate(node.bits, scratch);
    case 'counter':
      return missing();
    default:
      return lanes[node.kind];
  }
}

function missing(): never {
  throw new RangeError('a node is read before it is computed');
}
