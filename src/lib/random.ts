/** The machine's own randomness, for jitter; passed in so that tests can own it. */
export function systemRandom(): number {
  return Math.random();
}
