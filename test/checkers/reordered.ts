import type { Row } from './row.ts';

/** Two messages whose order the target does not show: `later` follows `earlier` on the source. */
export type Disorder = { readonly earlier: Row; readonly later: Row };

/**
 * Neighbours on the source that a reader of the target may meet in the wrong order: because their places are exchanged,
 * or because they are in different lanes, which have no order between them.
 *
 * Order is promised along a source lane: of one key (`per: 'key'`; messages without a key have none), or of everything
 * (`per: 'lane'`). Messages that are not on the target are passed over, and of copies the first counts: what is lost or
 * doubled has its own checkers.
 */
export function reordered(source: readonly Row[], target: readonly Row[], per: 'key' | 'lane'): readonly Disorder[] {
  const firstOnTarget = new Map<string, Row>();
  for (const row of target) {
    const first = row.id === null ? undefined : firstOnTarget.get(row.id);
    if (row.id !== null && (first === undefined || (first.lane === row.lane && row.place < first.place)))
      firstOnTarget.set(row.id, row);
  }
  const disorders: Disorder[] = [];
  const lastOf = new Map<string, { readonly source: Row; readonly target: Row }>();
  for (const row of [...source].sort((a, b) => a.place - b.place)) {
    const copy = row.id === null ? undefined : firstOnTarget.get(row.id);
    if (copy === undefined || (per === 'key' && row.key === null)) continue;
    const stretch = per === 'lane' ? row.lane : `${row.lane} ${row.key}`;
    const last = lastOf.get(stretch);
    if (last !== undefined && (copy.lane !== last.target.lane || copy.place <= last.target.place)) {
      disorders.push({ earlier: last.source, later: row });
    }
    lastOf.set(stretch, { source: row, target: copy });
  }
  return disorders;
}

/** Keys that more than one consumer got: with Key_Shared a key belongs to one consumer while none comes or goes. */
export function sharedKeys(rows: readonly (Row & { readonly consumer: number })[]): readonly string[] {
  const ownerOf = new Map<string, number>();
  const shared = new Set<string>();
  for (const { key, consumer } of rows) {
    if (key === null) continue;
    const owner = ownerOf.get(key);
    if (owner !== undefined && owner !== consumer) shared.add(key);
    ownerOf.set(key, consumer);
  }
  return [...shared];
}
