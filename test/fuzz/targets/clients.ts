/** What a client keeps and shows: its state and the backup in it, pictures of other people. */
import { Buffer } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { isImage, MAX_AVATAR_SIDE } from '../../../src/api/image.ts';
import { masterOf, ownHistoryOf } from '../../../src/client/keystore-data.ts';
import { parseState, stateOf } from '../../../src/client/state.ts';
import { parseAddress } from '../../../src/smimp/address.ts';
import { masterKeyPair, messagePublicKey } from '../../../src/smimp/crypto.ts';
import { formatTimestamp, type Hex32, type Hex64, toHex } from '../../../src/smimp/encoding.ts';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { parseStrictJson } from '../../../src/smimp/json.ts';
import { createRecord, rotateRecord } from '../../../src/smimp/record.ts';
import { bytes, fromHex } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';

const ALICE = parseAddress('alice#corp.test');
const NOW = 1_767_225_600;
const filled = (byte: number): Hex32 => toHex(Buffer.alloc(32, byte));

/** The state of somebody who changed the master key once, pinned a friend, and has something of everything. */
function wholeState(): unknown {
  const [old, master] = [masterKeyPair(Buffer.alloc(32, 1)), masterKeyPair(Buffer.alloc(32, 2))];
  const added = formatTimestamp(NOW);
  const first = createRecord({ address: ALICE, master: old, now: NOW });
  const second = rotateRecord({ previous: first, signer: old, newKey: master, now: NOW + 60 });
  const secret = Buffer.alloc(32, 3);
  const state = stateOf({
    address: ALICE,
    master: toHex<Hex64>(master.secretKey),
    own_history: [first, second].map((record) => ({ ...record, added })),
    message_keys: [
      {
        public_key: toHex<Hex32>(messagePublicKey(secret)),
        secret_key: toHex<Hex32>(secret),
        kind: 'ephemeral',
        created: added,
        expires: added,
        retired: null,
      },
    ],
    storage_key: filled(4),
    pins: [],
    archived_pins: [],
  });
  const uid = filled(5);
  return { ...state, seen: [{ digest: uid, from: ALICE, uid, message_id: uid }] };
}

const state: Target = {
  name: 'client-state',
  ...DEFAULTS,
  refusal: refusalOf(ProfileError),
  corpus: [bytes(JSON.stringify(wholeState()))],
  words: [
    'null',
    '0',
    '-1',
    '[]',
    '{}',
    '""',
    '"pins":',
    '"own_history":',
    '"master":',
    '"kind":"nonephemeral"',
    'ab',
    ',',
  ],
  run(input) {
    const read = parseState(parseStrictJson(input));
    must(isDeepStrictEqual(parseState(JSON.parse(JSON.stringify(read))), read), 'a state read back is another');
    const { history } = ownHistoryOf(read.keystore);
    must(toHex(masterOf(read.keystore).publicKey) === history.currentKey, 'a key that is not that of the history');
    return `${history.seq} ${read.keystore.message_keys.length} ${read.seen.length}`;
  },
};

const FRAME = 'ffc0 0007 08 0010 0010';
const SCAN = 'ffda 0002 1234 ff00 ffd0 56';
const PICTURES = {
  'image/png': [
    '89504e470d0a1a0a 0000000d 49484452 00000010 00000010 0802000000 00000000',
    '00000002 49444154 1234 00000000 00000004 74455874 3c61003e 00000000 00000000 49454e44 ae426082',
  ].join(' '),
  'image/jpeg': `ffd8 ffe0 0004 0000 ${FRAME} ${SCAN} ffc4 0003 00 ${SCAN} ffd9`,
} as const;
const ENDS = { 'image/png': '49454e44', 'image/jpeg': 'ffd9' } as const;
/** From the end of the last mark on; of a PNG a checksum follows. */
const END_BYTES = { 'image/png': 8, 'image/jpeg': 2 } as const;
const TYPES = ['image/png', 'image/jpeg'] as const;

const picture: Target = {
  name: 'avatar-picture',
  ...DEFAULTS,
  refusal: () => null,
  corpus: TYPES.map((type) => fromHex(PICTURES[type].replaceAll(' ', ''))),
  words: ['IEND', 'IDAT', 'IHDR', 'JFIF', '\0\0\0\0', '<svg', 'PNG'],
  run(input) {
    const is = TYPES.filter((type) => isImage(input, type));
    must(is.length <= 1, 'two kinds of picture at once');
    const [type] = is;
    if (type === undefined) return 'none';
    must(input.subarray(-END_BYTES[type]).toString('hex').startsWith(ENDS[type]), 'something behind the end');
    if (type === 'image/png') {
      const sides = [input.readUInt32BE(16), input.readUInt32BE(20)];
      must(
        sides.every((side) => side >= 1 && side <= MAX_AVATAR_SIDE),
        'larger than allowed',
      );
    }
    return type;
  },
};

export const CLIENT_TARGETS: readonly Target[] = [state, picture];
