import type { Row } from './row.ts';

/** Source messages that are not on the target. */
export function lost(source: readonly Row[], target: readonly Row[]): readonly Row[] {
  const there = new Set(target.map((row) => row.id));
  return source.filter((row) => row.id === null || !there.has(row.id));
}

/** Target messages that the source never had, those without an id included. */
export function strangers(source: readonly Row[], target: readonly Row[]): readonly Row[] {
  return lost(target, source);
}
