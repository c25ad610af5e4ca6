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

/**
 * As `judge`, for a source whose producers may have stored a message several times themselves: the target must hold as many copies as the source, in the
 * same order, and not one more.
 */
export function judgeCopies(source: readonly Row[], target: readonly Row[], per: 'key' | 'lane' = 'key'): Verdict {
  const written = numberCopies(source);
  const mirrored = numberCopies(target);
  const known = new Set(source.map((row) => row.id));
  const there = new Set(written.map((row) => row.id));
  // A copy too many is no stranger.
  const tooMany = mirrored.filter(({ row, id }) => row.id !== null && known.has(row.id) && !there.has(id));
  const excess = new Set(tooMany);
  const rest = mirrored.filter((copy) => !excess.has(copy));
  const relabel = ({ row, id }: Copy): Row => ({ ...row, id });
  const verdict = judge(written.map(relabel), rest.map(relabel), per);
  const examples = tooMany.slice(0, 3).map(({ row }) => `doubled: ${describe(row)}`);
  return { ...verdict, target: target.length, doubled: tooMany.length, examples: [...verdict.examples, ...examples] };
}

type Copy = { readonly row: Row; readonly id: string | null };

/** Gives each copy of a message a name of its own, in the order in which they lie. */
function numberCopies(rows: readonly Row[]): readonly Copy[] {
  const copies = new Map<string, number>();
  return [...rows]
    .sort((a, b) => a.place - b.place)
    .map((row) => {
      if (row.id === null) return { row, id: null };
      const copy = (copies.get(row.id) ?? 0) + 1;
      copies.set(row.id, copy);
      return { row, id: copy === 1 ? row.id : `${row.id} copy ${copy}` };
    });
}

/** Nothing lost, doubled, reordered or unknown to the source. */
export function isFaithful(verdict: Verdict): boolean {
  return verdict.lost + verdict.doubled + verdict.reordered + verdict.strangers === 0;
}

function describe(row: Row): string {
  return `id ${row.id} key ${row.key} at ${row.lane}/${row.place}`;
}
