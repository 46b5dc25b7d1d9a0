/** The commands about proof of work: what the policy would cost whom, and why somebody pays what it pays now. */
import { performance } from 'node:perf_hooks';
import type { Command } from 'commander';
import type { Bridge } from '../bridge.ts';
import { loadConfig } from '../config.ts';
import { measureHashesPerSecond } from '../pipeline/mint-speed.ts';
import { type PowFacts, policyOf } from '../policy/pow-policy.ts';
import { expectedHashes, type ScenarioResult, type Speed, simulatePolicy } from '../policy/pow-simulation.ts';
import { DAY_MS } from '../policy/wear.ts';
import { masterKeyPair, randomBytes } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import { messageType as messageTypeSchema } from '../smimp/fields.ts';
import { ciphertextHash } from '../smimp/pow.ts';
import { signDigest, verifySignedHash } from '../smimp/transcript.ts';
import { type CommandContext, parseTyped, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, table } from './output.ts';

const MEASURE_MS = 1_000;
const CHECKED_MESSAGES = 200;
const CHECKED_BYTES = 8_000;

export async function simulate(command: CommandContext & { hashesPerSecond: string | undefined }): Promise<void> {
  const { proof_of_work } = await loadConfig({ path: command.configPath });
  const given = command.hashesPerSecond === undefined ? null : parseRate(command.hashesPerSecond);
  const hashesPerSecond = given ?? (await measureHashesPerSecond({ threads: 1, forMs: MEASURE_MS }));
  const speed = { hashesPerSecond, serverSecondsPerMessage: checkSeconds() };
  const scenarios = simulatePolicy(policyOf(proof_of_work), speed);
  command.output.result({ ...speed, measured: given === null, scenarios }, simulationText(speed, scenarios));
}

function parseRate(text: string): number {
  if (!/^[1-9]\d{0,11}$/.test(text)) throw new CommandError(`${text} is not a number of hashes`, EXIT.badInput);
  return Number(text);
}

/** What hashing and checking the signature of one small message takes here; the database is not in it. */
function checkSeconds(): number {
  const { publicKey, secretKey } = masterKeyPair();
  const ciphertext = randomBytes(CHECKED_BYTES);
  const signedHash = signDigest(secretKey, ciphertextHash(ciphertext));
  const start = performance.now();
  for (let index = 0; index < CHECKED_MESSAGES; index += 1) {
    // Once for the work, once for the signature.
    ciphertextHash(ciphertext);
    verifySignedHash(signedHash, ciphertextHash(ciphertext), toHex(publicKey));
  }
  return (performance.now() - start) / 1_000 / CHECKED_MESSAGES;
}

const HEADER = [
  'SCENARIO',
  'MESSAGES',
  'FIRST',
  'LEAST',
  'MEDIAN',
  'MOST',
  'CPU s/MESSAGE',
  'CPU s',
  'SERVER CPU s',
  'MB',
];

function simulationText({ hashesPerSecond, serverSecondsPerMessage }: Speed, results: ScenarioResult[]): string {
  const rows = results.map((result) => [
    result.name,
    String(result.messages),
    ...[result.firstBits, result.leastBits, result.medianBits, result.mostBits].map(String),
    result.senderCpuSecondsPerMessage.toFixed(4),
    result.senderCpuSeconds.toFixed(1),
    result.serverCpuSeconds.toFixed(1),
    (result.storedBytes / 1e6).toFixed(1),
  ]);
  const secondsOf20 = (expectedHashes(20) / hashesPerSecond).toFixed(3);
  const checkMs = (serverSecondsPerMessage * 1_000).toFixed(2);
  return [
    `${(hashesPerSecond / 1e6).toFixed(2)} million hashes a second on one core: 20 bits take ${secondsOf20} s on average.`,
    `Checking hash and signature of a message takes the recipient's server ${checkMs} ms; the database is not in it.`,
    '',
    table(HEADER, rows),
    '',
    ...results.map(({ name, about }) => `${name}: ${about}`),
  ].join('\n');
}

export async function explain(
  command: CommandContext & { sender: string; recipient: string; messageType: string },
): Promise<void> {
  const [sender, recipient] = [parseTyped(command.sender), parseTyped(command.recipient)];
  const { messageType } = command;
  if (!messageTypeSchema.safeParse(messageType).success)
    throw new CommandError(`${messageType} is not a message type`, EXIT.badInput);
  await withBridge(command.configPath, async (bridge) => {
    const account = await bridge.accounts.find(recipient);
    if (account === null) throw new CommandError('the recipient has no account here', EXIT.notFound);
    const decision = await bridge.explainPrice({ sender, recipient, accountId: account.id, messageType });
    command.output.result({ sender, recipient, ...decision }, decisionText(decision));
  });
}

type PriceDecision = Awaited<ReturnType<Bridge['explainPrice']>>;

function decisionText(decision: PriceDecision): string {
  if (decision.rule === 'home') return '0 bits: the sender has an account here';
  if (decision.rule === 'whitelist') return '0 bits: the recipient has the sender on her white list';
  const { price, facts } = decision;
  const rows = price.rows.map(({ row, step, bits }) => [row, step ?? '', withSign(bits)]);
  const values = Object.entries(facts).map(([name, value]) => [name, factText(name as keyof PowFacts, value)]);
  return [
    `${price.bits} bits for the next message${price.bits === price.sum ? '' : ` (the rows add up to ${price.sum})`}`,
    '',
    table(['ROW', 'STEP', 'BITS'], [['base', '', withSign(price.base)], ...rows]),
    '',
    table(['FACT', 'VALUE'], values),
  ].join('\n');
}

const withSign = (bits: number): string => (bits < 0 ? String(bits) : `+${bits}`);
const AGES: ReadonlySet<keyof PowFacts> = new Set(['sender_age', 'domain_age']);

function factText(name: keyof PowFacts, value: PowFacts[keyof PowFacts]): string {
  if (typeof value !== 'number') return String(value);
  return AGES.has(name) ? `${(value / DAY_MS).toFixed(2)} days` : String(Math.round(value * 100) / 100);
}

export function addProofOfWorkCommands(program: Command, add: Add): void {
  const pow = program.command('pow').description('What messages cost their senders in work.').exitOverride();
  add(
    pow,
    'simulate',
    'Show what the policy would cost correspondents, newsletters, new people and floods.',
    (output, options) =>
      simulate({ output, ...where(options), hashesPerSecond: options.hashesPerSecond as string | undefined }),
  ).option('--hashes-per-second <number>', 'of one core of a sender (default: measured on this machine)');
  add<[string, string]>(
    pow,
    'explain <sender> <recipient>',
    'Show what the next message of a sender to an account here costs, and why.',
    (output, options, sender, recipient) =>
      explain({ output, ...where(options), sender, recipient, messageType: options.type as string }),
  ).option('--type <type>', 'the message type', 'email');
}
