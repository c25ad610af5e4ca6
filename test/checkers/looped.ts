import { doubled } from './doubled.ts';
import type { Row } from './row.ts';

/** Messages of a cluster's own applications, each written there once, that have come back to it. `isOwn` tells by the id. */
export function looped(rows: readonly Row[], isOwn: (id: string) => boolean): readonly Row[] {
  return doubled(rows.filter((row) => row.id !== null && isOwn(row.id)));
}
