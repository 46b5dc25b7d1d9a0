/**
 * Straight-line arithmetic on 64-bit words as a graph, before it becomes WebAssembly. Each node knows whether it
 * varies from one try to the next, so that what does not vary can be worked out once, ahead of the loop.
 *
 * Invariant: a node's inputs have smaller ids than the node; `node.varying` is true when any input varies.
 */

export type NodeId = number;
/** BLAKE2b's four right rotations, in bits (RFC 7693 §2.1). */
export type Rotation = 32 | 24 | 16 | 63;

export type Operation =
  | { kind: 'load'; address: number }
  | { kind: 'constant'; value: bigint }
  | { kind: 'counter' }
  | { kind: 'add' | 'xor'; left: NodeId; right: NodeId }
  | { kind: 'rotate'; input: NodeId; bits: Rotation };

export type GraphNode = Operation & { varying: boolean };

export class Graph {
  readonly nodes: GraphNode[] = [];

  /** A 64-bit little-endian word of the kernel's memory, the same for every try. */
  load(address: number): NodeId {
    return this.#push({ kind: 'load', address }, false);
  }

  constant(value: bigint): NodeId {
    return this.#push({ kind: 'constant', value }, false);
  }

  /** The word that changes with every try. */
  counter(): NodeId {
    return this.#push({ kind: 'counter' }, true);
  }

  xor(left: NodeId, right: NodeId): NodeId {
    return this.#push({ kind: 'xor', left, right }, this.varies(left) || this.varies(right));
  }

  rotate(input: NodeId, bits: Rotation): NodeId {
    return this.#push({ kind: 'rotate', input, bits }, this.varies(input));
  }

  /** The sum modulo 2^64 of at least one term; the terms that do not vary are added up first. */
  sum(...terms: NodeId[]): NodeId {
    const ordered = [...terms.filter((id) => !this.varies(id)), ...terms.filter((id) => this.varies(id))];
    return ordered.reduce((left, right) => this.#push({ kind: 'add', left, right }, this.varies(right)));
  }

  varies(id: NodeId): boolean {
    return this.node(id).varying;
  }

  node(id: NodeId): GraphNode {
    const node = this.nodes[id];
    if (node === undefined) throw new RangeError('no such node');
    return node;
  }

  #push(operation: Operation, varying: boolean): NodeId {
    return this.nodes.push({ ...operation, varying }) - 1;
  }
}

/** The nodes an operation reads. */
export function inputsOf(operation: Operation): NodeId[] {
  if (operation.kind === 'add' || operation.kind === 'xor') return [operation.left, operation.right];
  return operation.kind === 'rotate' ? [operation.input] : [];
}

/** How often each node is read on the way to `outputs`; a count of 0 marks a node nobody needs. */
export function countUses(graph: Graph, outputs: readonly NodeId[]): number[] {
  const uses = graph.nodes.map(() => 0);
  const use = (id: NodeId): void => {
    uses[id] = (uses[id] ?? 0) + 1;
  };
  outputs.forEach(use);
  for (let id = graph.nodes.length - 1; id >= 0; id -= 1) {
    if (uses[id] !== 0) inputsOf(graph.node(id)).forEach(use);
  }
  return uses;
}
