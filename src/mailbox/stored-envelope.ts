/** A row as the envelope it stands for (SMIMP 0.1 §4.2). */

import type { Address } from '../smimp/address.ts';
import { formatTimestamp, type Hex24, type Hex32, type SignedHash, toHex } from '../smimp/encoding.ts';
import { type DecodedStoredEnvelope, MESSAGE_ALGORITHM } from '../smimp/envelope.ts';
import type { StoredMessage } from '../store/messages.ts';

export function storedEnvelope(row: StoredMessage, owner: Address): DecodedStoredEnvelope {
  const { pow_zero_bits: zero_bits, pow_nonce: nonce } = row;
  return {
    ciphertext: row.ciphertext,
    message_type: row.message_type,
    algorithm: MESSAGE_ALGORITHM,
    message_public_key: toHex<Hex32>(row.message_public_key),
    nonce: toHex<Hex24>(row.nonce),
    proof_of_work: row.proof_of_work,
    message_hash: toHex<SignedHash>(row.message_hash),
    recipient_address: owner,
    sender_address: row.sender_address as Address,
    sender_public_key: toHex<Hex32>(row.sender_public_key),
    time_received: formatTimestamp(Math.floor(row.time_received.getTime() / 1000)),
    proof_of_work_parameters: zero_bits === null || nonce === null ? null : { zero_bits, nonce: toHex<Hex32>(nonce) },
    message_id: toHex<Hex32>(row.message_id),
    login_token_hash: toHex<Hex32>(row.login_token_hash),
    received_via: row.received_via,
    read: row.read,
    extensions_data: null,
    protocol_version: '0.1',
    folder_name: null,
    revision: row.revision,
    seq: row.seq,
  };
}
