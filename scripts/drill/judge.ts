/** The judgement: pure functions over what the official clients wrote, read and consumed. */
import type { Row } from '../../test/checkers/row.ts';
import { judge } from '../../test/checkers/verdict.ts';
import type { MemberRow } from '../../test/kit/members.ts';
import { type Check, equals, type GroupResult, type Second, some } from './outcome.ts';

export type Writer = 'source' | 'target';

/** Ids name who wrote the record, the lane, and its number in the lane. */
export function idOf(writer: Writer, lane: number, number: number): string {
  return `${writer}-${lane}-${number}`;
}

export function isFrom(writer: Writer, id: string | null): boolean {
  return id?.startsWith(`${writer}-`) === true;
}

/** What a canary has done. A record in doubt was sent, and its broker has not said that it is stored. */
export type Written = {
  /** When its broker had acknowledged it, milliseconds since 1970. */
  readonly acknowledged: ReadonlyMap<string, number>;
  readonly inDoubt: ReadonlySet<string>;
};

export type FlowSides = {
  readonly writer: Writer;
  readonly written: Written;
  /** Everything in the topic where the canary writes, and on the other side. */
  readonly home: readonly Row[];
  readonly away: readonly Row[];
  /** Ids that the mirror was to leave out. */
  readonly leftOut?: ReadonlySet<string>;
};

/** Lost, doubled, reordered, sent back: everything that one canary wrote, on both sides. */
export function judgeFlow({ writer, written, home, away, leftOut = new Set() }: FlowSides): Check[] {
  const ours = (rows: readonly Row[]): Row[] => rows.filter(({ id }) => isFrom(writer, id) && !leftOut.has(id ?? ''));
  const there = new Set(home.map(({ id }) => id));
  const vanished = [...written.acknowledged.keys()].filter((id) => !there.has(id));
  const { lost, doubled, reordered, examples, source } = judge(ours(home), ours(away));
  const returned = ours(home).length - new Set(ours(home).map(({ id }) => id)).size;
  const of = `written on the ${writer}`;
  const like = (kind: string): string[] => examples.filter((example) => example.startsWith(kind));
  return [
    some(`records ${of}`, source),
    equals(`acknowledged records ${of} that its brokers have no more`, 0, vanished.length, vanished.slice(0, 3)),
    equals(`lost: ${of}, not on the other side`, 0, lost, like('lost')),
    equals(`doubled: ${of}, more than once on the other side`, 0, doubled, like('doubled')),
    equals(`sent back: ${of}, there again`, 0, returned),
    equals(`reordered: pairs of one key ${of}`, 0, reordered, like('reordered')),
  ];
}

export type GroupRun = {
  readonly group: string;
  readonly consumers: string;
  readonly placeKind: string;
  /** What the certificate says of it. */
  readonly rereads: number | null;
  /** By source lane: the place from which it went on; given where the source was gone, and the last known place had to do. */
  readonly lastKnown?: Readonly<Record<string, string>>;
  readonly atSource: readonly MemberRow[];
  readonly atTarget: readonly MemberRow[];
  /** Ids in the target topic. */
  readonly inTarget: ReadonlySet<string>;
  /** Milliseconds since 1970. */
  readonly clockFrom: number;
};

/** A Pulsar entry that was acknowledged in part counts as not done: it would come again at the source as well. */
export function doneAt(rows: readonly MemberRow[]): Set<string> {
  const entry = ({ lane, place, batchSize }: MemberRow): string => (batchSize > 1 ? `${lane} ${place}` : '');
  const acknowledged = new Map<string, number>();
  for (const row of rows) if (row.acknowledged) acknowledged.set(entry(row), (acknowledged.get(entry(row)) ?? 0) + 1);
  return new Set(
    rows
      .filter((row) => row.acknowledged && (row.batchSize === 1 || acknowledged.get(entry(row)) === row.batchSize))
      .map(({ id }) => id),
  );
}

/** What a group that moved was to read again, and did. */
export function judgeGroup(run: GroupRun): { readonly result: GroupResult; readonly checks: readonly Check[] } {
  const { group, consumers, atSource, atTarget, inTarget, rereads, lastKnown } = run;
  const done = doneAt(atSource);
  const got = new Set(atTarget.map(({ id }) => id));
  const again = atTarget.filter(({ id }) => done.has(id));
  const missed = [...inTarget].filter((id) => !done.has(id) && !got.has(id));
  // What it did at the source after it was last seen there: nobody on the target can know of it.
  const unseen =
    lastKnown === undefined
      ? 0
      : new Set(
          atSource
            .filter((row) => done.has(row.id) && inTarget.has(row.id) && !isBefore(row.place, lastKnown[row.lane]))
            .map(({ id }) => id),
        ).size;
  const predicted = rereads === null ? null : rereads + unseen;
  const first = atTarget.reduce((least, { at }) => Math.min(least, at / 1_000), Number.POSITIVE_INFINITY);
  const result: GroupResult = {
    group,
    consumers,
    placeKind: run.placeKind,
    predicted,
    readAgain: again.length,
    doneAtSource: done.size,
    gotAtTarget: atTarget.length,
    missed: missed.length,
    firstAfterMillis: Number.isFinite(first) ? first - run.clockFrom : null,
  };
  const checks = [
    some(`${group}: records done at the source before`, done.size),
    equals(`${group}: records that it never got`, 0, missed.length, missed.slice(0, 3)),
    {
      name: `${group}: records read again`,
      expected: predicted === null ? 'a number known before' : `${predicted}, as predicted`,
      measured: String(again.length),
      passed: again.length === predicted,
      detail: again.slice(0, 3).map(({ id, lane, place }) => `again: ${id} at ${lane} ${place}`),
    },
    equals(
      `${group}: records out of order by key`,
      0,
      disorders(atSource) + disorders(atTarget.filter(({ id }) => !done.has(id))),
    ),
  ];
  return { result, checks };
}

/** Whether a place lies before another one of its lane; both in text form, numbers separated by colons. Without the other one: no. */
export function isBefore(place: string, than: string | undefined): boolean {
  if (than === undefined) return false;
  const [a, b] = [place, than].map((text) => text.split(':').map(Number));
  for (let i = 0; i < Math.min(a?.length ?? 0, b?.length ?? 0); i++) {
    if (a?.[i] !== b?.[i]) return (a?.[i] ?? 0) < (b?.[i] ?? 0);
  }
  return false;
}

/** How often a consumer got a record of a key after a later one of the same writer and lane. Copies count where they came first. */
export function disorders(rows: readonly MemberRow[]): number {
  const highest = new Map<string, number>();
  const seen = new Set<string>();
  let count = 0;
  for (const { id, key } of rows) {
    if (key === null || seen.has(id)) continue;
    seen.add(id);
    const [writer = '', lane = '', number = ''] = id.split('-');
    const stretch = `${writer} ${lane} ${key}`;
    const before = highest.get(stretch) ?? -1;
    if (Number(number) < before) count++;
    highest.set(stretch, Math.max(before, Number(number)));
  }
  return count;
}

/** A record that took longer than this came late. */
export const LATE_MILLIS = 2_500;

/**
 * Milliseconds from a fault until records arrive as before: until the last late one is there, and one that was written after the fault. Null: none of those
 * came. `arrivals` are of the consumer on the target.
 */
export function timeToRecover(arrivals: readonly MemberRow[], written: Written, faultAt: number): number | null {
  let firstNew: number | null = null;
  let lastLate = faultAt;
  for (const { id, at } of arrivals) {
    const writtenAt = written.acknowledged.get(id);
    if (writtenAt === undefined || at / 1_000 < faultAt) continue;
    if (writtenAt > faultAt) firstNew = Math.min(firstNew ?? Number.POSITIVE_INFINITY, at / 1_000);
    if (at / 1_000 - writtenAt > LATE_MILLIS) lastLate = Math.max(lastLate, at / 1_000);
  }
  return firstNew === null ? null : Math.max(firstNew, lastLate) - faultAt;
}

/** Second by second, what was written and what came to consumers on the target. Times: milliseconds since 1970. */
export function secondBySecond(
  from: number,
  to: number,
  writtenAt: Iterable<number>,
  arrivedAt: Iterable<number>,
): readonly Second[] {
  const seconds = Array.from({ length: Math.max(0, Math.ceil((to - from) / 1_000)) }, () => ({ written: 0, arrived: 0 }));
  const add = (times: Iterable<number>, what: 'written' | 'arrived'): void => {
    for (const time of times) {
      const second = seconds[Math.floor((time - from) / 1_000)];
      if (second !== undefined) second[what]++;
    }
  };
  add(writtenAt, 'written');
  add(arrivedAt, 'arrived');
  return seconds;
}
