import { neighbourDistance, type Position } from '../../model/position.ts';
import type { PositionRun } from '../../model/provenance.ts';

/** A record between `append` and its storage. */
export interface OpenRecord {
  readonly position: Position;
  readonly storeTime: number;
  readonly body: Buffer;
  readonly key: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** The record's own mark, where it came from elsewhere before. */
  readonly mark: string | undefined;
}

export interface SealedEntry {
  readonly runs: readonly PositionRun[];
  /** Records. */
  readonly count: number;
  /** Of the first record, milliseconds since 1970. */
  readonly storeTime: number;
  readonly endsRound: boolean;
}

/** One entry, or one for each key: these then lie in the target in another order than in the lane. */
export function sealRound(
  records: readonly OpenRecord[],
  perKey: boolean,
): (SealedEntry & { readonly records: readonly OpenRecord[] })[] {
  const groups = perKey ? [...Map.groupBy(records, (record) => record.key).values()] : [records];
  return groups.map((group, i) => ({
    runs: runsOf(group),
    count: group.length,
    storeTime: group[0]?.storeTime ?? 0,
    records: group,
    endsRound: i === groups.length - 1,
  }));
}

function runsOf(records: readonly OpenRecord[]): PositionRun[] {
  const runs: { first: Position; count: number }[] = [];
  for (const { position } of records) {
    const last = runs.at(-1);
    if (last !== undefined && neighbourDistance(last.first, position) === last.count) last.count++;
    else runs.push({ first: position, count: 1 });
  }
  return runs;
}
