import { crc32c } from '@node-rs/crc32';

/** The polynomial of CRC-32C (Castagnoli), lowest bit first. */
const POLYNOMIAL = 0x82f63b78;
const ONE = 0x80000000;
/** x^1, x^2, x^4, x^8, ... as remainders. */
const POWERS: Int32Array = powers();
let lastBytes = 0;
let lastPower = ONE | 0;

/** The checksum of an entry: CRC-32C over `[metadataSize][MessageMetadata][payload]`. */
export function entryChecksum(metadata: Uint8Array, payload: Uint8Array): number {
  return crc32c(payload, crc32c(metadata));
}

/**
 * The checksum of an entry whose metadata is replaced, from the one it had: the payload is not read, so a payload that is damaged on its way through our memory is
 * still told by whoever compares next.
 */
export function replacedHeadChecksum(checksum: number, before: Uint8Array, after: Uint8Array, payloadBytes: number): number {
  return (checksum ^ shifted(crc32c(before) ^ crc32c(after), payloadBytes)) >>> 0;
}

/** What `crc` adds to the checksum when `bytes` more bytes follow. Checksums are remainders of polynomials over GF(2), so this is a product with x^(8 * bytes). */
function shifted(crc: number, bytes: number): number {
  // The entries of a topic are mostly of one size.
  if (bytes !== lastBytes) [lastBytes, lastPower] = [bytes, powerOf(bytes)];
  return multiplied(crc, lastPower);
}

/** x^(8 * bytes). */
function powerOf(bytes: number): number {
  let power = ONE | 0;
  // POWERS[3] is x^8, a byte.
  for (let k = 3, rest = bytes; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiplied(POWERS[k] ?? 0, power);
  }
  return power;
}

/** The product of two remainders. */
function multiplied(a: number, b: number): number {
  let product = 0;
  let shiftedB = b;
  for (let rest = a; rest !== 0; rest <<= 1) {
    // The highest bit is the lowest power.
    if (rest < 0) product ^= shiftedB;
    shiftedB = (shiftedB >>> 1) ^ (POLYNOMIAL & -(shiftedB & 1));
  }
  return product;
}

function powers(): Int32Array {
  const found = new Int32Array(32);
  let power = ONE >>> 1;
  for (let k = 0; k < found.length; k++) {
    found[k] = power;
    power = multiplied(power, power);
  }
  return found;
}
