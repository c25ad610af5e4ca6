import { doubled } from './doubled.ts';
import { lost, strangers } from './lost.ts';
import { reordered } from './reordered.ts';
import type { Row } from './row.ts';

/** How many messages are wrong in which way; all zero is a faithful mirror. */
export type Verdict = {
  readonly source: number;
  readonly target: number;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  readonly strangers: number;
  /** Up to three of each kind, for a person to look up. */
  readonly examples: readonly string[];
};

/** Compares a source topic with its mirror by id and by order (see `reordered` for `per`). */
export function judge(source: readonly Row[], target: readonly Row[], per: 'key' | 'lane' = 'key'): Verdict {
  const missing = lost(source, target);
  const copies = doubled(target);
  const disorders = reordered(source, target, per);
  const unknown = strangers(source, target);
  return {
    source: source.length,
    target: target.length,
    lost: missing.length,
    doubled: copies.length,
    reordered: disorders.length,
    strangers: unknown.length,
    examples: [
      ...missing.slice(0, 3).map((row) => `lost: ${describe(row)}`),
      ...copies.slice(0, 3).map((row) => `doubled: ${describe(row)}`),
      ...disorders.slice(0, 3).map(({ earlier, later }) => `reordered: ${describe(earlier)} before ${describe(later)}`),
      ...unknown.slice(0, 3).map((row) => `stranger: ${describe(row)}`),
    ],
  };
}

/** Nothing lost, doubled, reordered or unknown to the source. */
export function isFaithful(verdict: Verdict): boolean {
  return verdict.lost + verdict.doubled + verdict.reordered + verdict.strangers === 0;
}

function describe(row: Row): string {
  return `id ${row.id} key ${row.key} at ${row.lane}/${row.place}`;
}
