import type { Difference, DifferenceKind } from '../../../../src/mirror/audit/findings.ts';
import { recordPlace } from '../../../../src/mirror/audit/places.ts';
import {
  comparePositions,
  entryPosition,
  formatPosition,
  offsetPosition,
  type Position,
} from '../../../../src/model/position.ts';
import { formatProvenance, type PositionRun } from '../../../../src/model/provenance.ts';
import type { SeededRandom } from '../../../simulation/random.ts';
import type { FakeRecord } from './kit.ts';

/** A record of the target as it was made. */
interface TargetRow {
  readonly body: string;
  readonly key: string | undefined;
  /** The record of the source that it is a copy of; `undefined` = an application wrote it. */
  readonly of: { readonly lane: string; readonly position: Position } | undefined;
}

export interface History {
  readonly source: ReadonlyMap<string, readonly FakeRecord[]>;
  readonly target: ReadonlyMap<string, readonly FakeRecord[]>;
  /** What a comparison has to find, as texts: see `textOf`. */
  readonly expected: readonly string[];
}

const NOW = 1_760_000_000_000;

export function textOf({ kind, lane, position, target }: Pick<Difference, 'kind' | 'lane' | 'position' | 'target'>): string {
  const places = target.map((place) => `${place.lane}@${formatPosition(place.position)}`).sort();
  return [kind, lane, formatPosition(recordPlace(position)), ...(kind === 'missing' ? [] : places)].join(' ');
}

/** Lanes of a source, a faithful copy of them, and then faults in the copy. Records with the tag `out` are left out by the mirror. */
export function makeHistory(random: SeededRandom): History {
  const below = (n: number): number => Math.floor(random.next() * n);
  const laneCount = 1 + below(3);
  const partitionCount = 1 + below(3);
  const keyCount = 1 + below(12);
  const byEntry = random.next() < 0.5;
  const source = new Map<string, FakeRecord[]>();
  const rows: TargetRow[][] = Array.from({ length: partitionCount }, () => []);
  for (let lane = 0; lane < laneCount; lane++) {
    const records = makeLane(random, below(120), keyCount, byEntry);
    source.set(String(lane), records);
    const byKey = random.next() < 0.5;
    for (const record of records) {
      if (record.tag === 'out') continue;
      const partition = byKey ? (record.key ?? 'none').length % partitionCount : lane % partitionCount;
      const { body, key } = record;
      rows[partition]?.push({ body, key, of: { lane: String(lane), position: record.position } });
    }
  }
  const faults = random.next() < 0.15 ? 0 : below(6);
  for (let i = 0; i < faults; i++) plant(random, rows[below(partitionCount)] ?? [], rows[below(partitionCount)] ?? []);
  const target = new Map(rows.map((list, partition) => [String(partition), makePartition(random, list)]));
  return { source, target, expected: judge(source, rows, target) };
}

function makeLane(random: SeededRandom, count: number, keys: number, byEntry: boolean): FakeRecord[] {
  const records: FakeRecord[] = [];
  let at = byEntry ? entryPosition(5, 0, 0) : offsetPosition(Math.floor(random.next() * 50));
  for (let i = 0; i < count; i++) {
    const key = random.next() < 0.2 ? undefined : 'k'.repeat(1 + Math.floor(random.next() * keys));
    const tag = random.next() < 0.1 ? 'out' : undefined;
    records.push({ position: at, body: `${formatPosition(at)} ${i}`, key, tag, time: NOW + i * 1_000 });
    at = byEntry ? nextInEntries(random, at) : offsetPosition(at.major + (random.next() < 0.05 ? 3 : 1));
  }
  return records;
}

/** Entries of many records, and entries that are a record themselves. */
function nextInEntries(random: SeededRandom, { major, minor, index }: Position): Position {
  if (index >= 0 && random.next() < 0.7) return entryPosition(major, minor, index + 1);
  const next = random.next() < 0.05 ? entryPosition(major + 2, 0) : entryPosition(major, minor + 1);
  return random.next() < 0.3 ? next : { ...next, index: 0 };
}

function plant(random: SeededRandom, rows: TargetRow[], elsewhere: TargetRow[]): void {
  const at = Math.floor(random.next() * rows.length);
  const to = Math.floor(random.next() * (elsewhere.length + 1));
  const row = rows[at];
  if (row === undefined) return;
  const kind = Math.floor(random.next() * 7);
  if (kind === 0) rows.splice(at, 1 + Math.floor(random.next() * 3));
  else if (kind === 1) elsewhere.splice(to, 0, row);
  else if (kind === 2) rows[at] = { ...row, body: `${row.body}!` };
  else if (kind === 3) rows[at] = { ...row, key: row.key === undefined ? 'x' : undefined };
  else if (kind === 4) elsewhere.splice(Math.min(to, elsewhere.length), 0, ...rows.splice(at, 1));
  else if (kind === 5) rows.splice(at, 0, { body: 'an application', key: row.key, of: undefined });
  else if (row.of !== undefined) {
    // A mark of a record that the source has not.
    const position = { ...row.of.position, major: row.of.position.major + 1_000 };
    elsewhere.splice(to, 0, {
      body: 'of nothing',
      key: row.key,
      of: { lane: row.of.lane, position: random.next() < 0.5 ? position : row.of.position },
    });
  }
}

/** Lays rows out as entries, with the marks that speak of them. */
function makePartition(random: SeededRandom, rows: readonly TargetRow[]): FakeRecord[] {
  const records: FakeRecord[] = [];
  for (let i = 0, entry = 0; i < rows.length; entry++) {
    const lane = rows[i]?.of?.lane;
    const together: TargetRow[] = [];
    const size = 1 + Math.floor(random.next() * 6);
    for (; i < rows.length && together.length < size && rows[i]?.of?.lane === lane; i++) together.push(rows[i] as TargetRow);
    const runs: PositionRun[] = together.map(({ of }) => ({ first: of?.position ?? offsetPosition(0), count: 1 }));
    const mark =
      lane === undefined
        ? random.next() < 0.5
          ? undefined
          : formatProvenance({ cluster: 'north', topic: 'orders', lane: '0', runs, time: 0, passed: [] })
        : formatProvenance({ cluster: 'east', topic: 'orders', lane, runs, time: 0, passed: [] });
    together.forEach(({ body, key }, ordinal) =>
      records.push({ position: entryPosition(20, entry, ordinal), body, key, mark, ordinal, time: NOW + entry * 1_000 }),
    );
  }
  return records;
}

function judge(
  source: ReadonlyMap<string, readonly FakeRecord[]>,
  rows: readonly (readonly TargetRow[])[],
  target: ReadonlyMap<string, readonly FakeRecord[]>,
): string[] {
  const found: string[] = [];
  const copiesOf = new Map<string, { lane: string; position: Position; row: TargetRow }[]>();
  rows.forEach((list, partition) =>
    list.forEach((row, i) => {
      if (row.of === undefined) return;
      const id = `${row.of.lane} ${formatPosition(row.of.position)}`;
      const position = target.get(String(partition))?.[i]?.position ?? offsetPosition(-1);
      copiesOf.set(id, [...(copiesOf.get(id) ?? []), { lane: String(partition), position, row }]);
    }),
  );
  const add = (
    kind: DifferenceKind,
    lane: string,
    position: Position,
    places: readonly { lane: string; position: Position }[],
  ): void => void found.push(textOf({ kind, lane, position, target: places }));
  const known = new Set<string>();
  for (const [lane, records] of source) {
    const end = records.at(-1)?.position ?? offsetPosition(0);
    for (const record of records) {
      if (record.tag === 'out') continue;
      const id = `${lane} ${formatPosition(record.position)}`;
      known.add(id);
      const copies = copiesOf.get(id) ?? [];
      if (copies.length === 0) add('missing', lane, record.position, []);
      if (copies.length > 1) add('doubled', lane, record.position, copies.slice(0, 8));
      if (copies.some(({ row }) => row.body !== record.body || row.key !== record.key))
        add('changed', lane, record.position, copies.slice(0, 8));
    }
    for (const [id, copies] of copiesOf) {
      const of = copies[0]?.row.of;
      if (of === undefined || of.lane !== lane || known.has(id) || records.length === 0) continue;
      const inside = comparePositions(of.position, records[0]?.position ?? end) >= 0 && comparePositions(of.position, end) <= 0;
      if (inside && records.some(({ tag }) => tag !== 'out'))
        for (const copy of copies) add('unexpected', lane, of.position, [copy]);
    }
  }
  rows.forEach((list, partition) => {
    list.forEach((row, i) => {
      const { of } = row;
      if (of === undefined || !known.has(`${of.lane} ${formatPosition(of.position)}`)) return;
      const earlier = list.slice(0, i).filter((other) => other.of?.lane === of.lane);
      if (earlier.some((other) => other.of !== undefined && comparePositions(other.of.position, of.position) === 0)) return;
      const late = earlier.some(
        (other) =>
          other.key === row.key &&
          other.of !== undefined &&
          comparePositions(other.of.position, of.position) > 0 &&
          inScope(source, other.of),
      );
      const position = target.get(String(partition))?.[i]?.position ?? offsetPosition(-1);
      if (late) add('reordered', of.lane, of.position, [{ lane: String(partition), position }]);
    });
  });
  return found.sort();
}

function inScope(
  source: ReadonlyMap<string, readonly FakeRecord[]>,
  { lane, position }: { lane: string; position: Position },
): boolean {
  const end = source.get(lane)?.at(-1)?.position;
  return end !== undefined && comparePositions(position, end) <= 0;
}
