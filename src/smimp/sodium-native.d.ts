/** The part of sodium-native that `crypto.ts` uses. Results go into the first argument; failures throw or return false. */
declare module 'sodium-native' {
  const sodium: {
    randombytes_buf(out: Uint8Array): void;
    sodium_memzero(bytes: Uint8Array): void;
    sodium_memcmp(a: Uint8Array, b: Uint8Array): boolean;
    crypto_generichash(out: Uint8Array, message: Uint8Array, key?: Uint8Array): void;
    crypto_generichash_batch(out: Uint8Array, parts: Uint8Array[], key?: Uint8Array): void;
    crypto_generichash_STATEBYTES: number;
    crypto_generichash_init(state: Uint8Array, key: null, outSizeBytes: number): void;
    crypto_generichash_update(state: Uint8Array, part: Uint8Array): void;
    crypto_generichash_final(state: Uint8Array, out: Uint8Array): void;
    crypto_sign_keypair(publicKey: Uint8Array, secretKey: Uint8Array): void;
    crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
    crypto_sign(out: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
    crypto_sign_ed25519_sk_to_curve25519(out: Uint8Array, secretKey: Uint8Array): void;
    crypto_box_keypair(publicKey: Uint8Array, secretKey: Uint8Array): void;
    crypto_scalarmult_base(out: Uint8Array, scalar: Uint8Array): void;
    crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
    crypto_scalarmult(out: Uint8Array, scalar: Uint8Array, point: Uint8Array): void;
    crypto_core_ed25519_is_valid_point(point: Uint8Array): boolean;
    crypto_core_ed25519_add(out: Uint8Array, p: Uint8Array, q: Uint8Array): void;
    crypto_box_easy(
      out: Uint8Array,
      message: Uint8Array,
      nonce: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array,
    ): void;
    crypto_box_open_easy(
      out: Uint8Array,
      box: Uint8Array,
      nonce: Uint8Array,
      publicKey: Uint8Array,
      secretKey: Uint8Array,
    ): boolean;
    crypto_aead_xchacha20poly1305_ietf_encrypt(
      out: Uint8Array,
      message: Uint8Array,
      aad: Uint8Array | null,
      secretNonce: null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;
    crypto_aead_xchacha20poly1305_ietf_decrypt(
      out: Uint8Array,
      secretNonce: null,
      box: Uint8Array,
      aad: Uint8Array | null,
      nonce: Uint8Array,
      key: Uint8Array,
    ): number;
  };
  export default sodium;
}
