/** A number that a failing test prints is enough to repeat its moments: `ISTHMUS_TEST_SEED`. */
export const testSeed: number = Number(process.env['ISTHMUS_TEST_SEED'] ?? 20261121);

/** mulberry32: small, and the same on every machine. In [0, 1). */
export function seeded(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
