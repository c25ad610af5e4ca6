/** The machine's own randomness, for jitter; passed in so that tests can own it. */
export function systemRandom(): number {
  return Math.random();
}

/** Six digits and letters that tell one of its kind from others which have the rest of a name, or of an id, in common. */
export function randomSuffix(random: () => number): string {
  return Math.floor(random() * 36 ** 6)
    .toString(36)
    .padStart(6, '0');
}
