/** Inputs to begin with, from the fixtures: vectors of the wire profile and mail. */
import { readdirSync, readFileSync } from 'node:fs';

const FIXTURES = new URL('../../fixtures/', import.meta.url);

type Case = { inputs: Record<string, unknown> & { op: string } };

/** Inputs of the cases of one area, of one operation or all. */
export function vectorInputs(area: string, op?: string): Case['inputs'][] {
  const file = readFileSync(new URL(`vectors/${area}.json`, FIXTURES), 'utf8');
  const { cases } = JSON.parse(file) as { cases: Case[] };
  return cases.map(({ inputs }) => inputs).filter((inputs) => op === undefined || inputs.op === op);
}

/** One member of each, where it is a string. */
export function texts(inputs: readonly Record<string, unknown>[], ...members: readonly string[]): string[] {
  return inputs.flatMap((input) => members.map((member) => input[member])).filter((value) => typeof value === 'string');
}

export function mails(): Buffer[] {
  const directory = new URL('mail/', FIXTURES);
  return readdirSync(directory)
    .filter((name) => name.endsWith('.eml'))
    .map((name) => readFileSync(new URL(name, directory)));
}

/** Bodies of `email`, of everything that the renderer treats in its own way. */
export function bodies(): Buffer[] {
  const lines = readFileSync(new URL('rendered.jsonl', FIXTURES), 'utf8').trimEnd().split('\n');
  return lines.map((line) => Buffer.from(JSON.stringify((JSON.parse(line) as { body: object }).body)));
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');
export const fromHex = (hex: string): Buffer => Buffer.from(hex, 'hex');
