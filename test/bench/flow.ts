/**
 * How long from submission to visible in IMAP, how many messages a second, and how much memory a large message takes.
 * Two bridges as processes on this machine, proof of work at 0 bits, real clients (nodemailer, imapflow).
 *
 * The peer, in the same run and with the same senders: a bare smtp-server that takes the message and throws it away.
 */
import { measureArrivals } from './arrivals.ts';
import { type MemoryRow, measureMemory } from './memory.ts';
import { openPair, type Pair } from './pair.ts';
import { peerRate } from './peer.ts';

const SENDERS = 16;
const WARM_UP_MESSAGES = 20;
const LATENCY_MESSAGES = 100;
const RATE_MESSAGES = 480;

export const FLOW_PARTS = ['latency', 'rate', 'memory'] as const;
export type FlowPart = (typeof FLOW_PARTS)[number];

export interface FlowResult {
  latency?: { p50Ms: number; p99Ms: number; messages: number };
  rate?: { perSecond: number; peerPerSecond: number; ratio: number; messages: number; senders: number };
  memory?: MemoryRow[];
}

export async function benchFlow(parts: readonly FlowPart[]): Promise<FlowResult> {
  await using pair = await openPair({ senders: SENDERS });
  await measureArrivals(pair, WARM_UP_MESSAGES, 1);
  const result: FlowResult = {};
  if (parts.includes('latency')) result.latency = await measureLatency(pair);
  if (parts.includes('rate')) result.rate = await measureRate(pair);
  if (parts.includes('memory')) result.memory = await measureMemory(pair);
  return result;
}

async function measureLatency(pair: Pair): Promise<FlowResult['latency']> {
  const { latenciesMs } = await measureArrivals(pair, LATENCY_MESSAGES, 1);
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), messages: LATENCY_MESSAGES };
}

async function measureRate(pair: Pair): Promise<FlowResult['rate']> {
  const { totalMs } = await measureArrivals(pair, RATE_MESSAGES, SENDERS);
  const peerPerSecond = await peerRate(RATE_MESSAGES, SENDERS);
  const perSecond = RATE_MESSAGES / (totalMs / 1_000);
  return { perSecond, peerPerSecond, ratio: perSecond / peerPerSecond, messages: RATE_MESSAGES, senders: SENDERS };
}
