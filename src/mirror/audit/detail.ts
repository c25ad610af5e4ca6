import { IsthmusError } from '../../errors.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Descent } from './descents.ts';
import { DetailTable } from './detail-table.ts';
import type { Difference, DifferenceKind, Findings } from './findings.ts';
import { SourceFilter, type Take } from './first-pass.ts';
import type { SourceLane, TargetLane } from './lane-state.ts';
import type { PlaceReader } from './place-reader.ts';
import type { AuditDeps, AuditProgress } from './plan.ts';
import { Ranges } from './ranges.ts';
import { RecordHash } from './record-hash.ts';
import { readStretch } from './stretch-reader.ts';
import type { TargetFloor } from './target-floor.ts';

export interface DetailParts {
  readonly lane: SourceLane;
  readonly number: number;
  readonly targets: readonly TargetLane[];
  readonly places: PlaceReader;
  readonly floor: TargetFloor;
  readonly startsInside: boolean;
  readonly deps: AuditDeps;
  readonly findings: Findings;
  readonly progress: AuditProgress;
  /** Hears of each missing record that may be sent, in the order of the lane. */
  readonly onMissing: (place: Position) => void;
}

/** Neighbouring blocks `[first, last]`. */
type Run = readonly [first: number, last: number];

/** Compares a lane's unequal blocks record by record, some at a time. */
export class Detail {
  readonly #parts: DetailParts;
  readonly #table = new DetailTable();
  readonly #hash: RecordHash;
  readonly #descents: Iterator<Descent>;
  #descent: Descent | undefined;

  constructor(parts: DetailParts) {
    this.#parts = parts;
    this.#hash = new RecordHash(parts.deps.likeness);
    this.#descents = parts.lane.descents.sorted()[Symbol.iterator]();
    this.#nextDescent();
  }

  async run(unequal: readonly number[]): Promise<void> {
    const { lane, deps } = this.#parts;
    const { blocks } = lane;
    let round: number[] = [];
    let records = 0;
    for (const block of unequal) {
      const count = Math.max(blocks.sourceCount(block), blocks.targetCount(block));
      if (round.length > 0 && records + count > deps.sizes.roundRecords) {
        await this.#round(runsOf(round));
        [round, records] = [[], 0];
      }
      round.push(block);
      records += count;
    }
    if (round.length > 0) await this.#round(runsOf(round));
  }

  async #round(runs: readonly Run[]): Promise<void> {
    this.#table.clear();
    const gone = new Ranges();
    for (const run of runs) await this.#readSource(run, gone);
    const unexpected: Difference[] = [];
    const seen = await this.#readTargets(runs, unexpected);
    // What the source has deleted meanwhile is not compared any more.
    if (gone.empty) this.#checkSeen(runs, seen);
    await this.#report();
    for (const difference of unexpected) this.#parts.findings.add(difference);
    this.#reportDescents(runs);
    this.#parts.progress.comparedRecords += this.#table.length;
  }

  async #readSource([first, last]: Run, gone: Ranges): Promise<void> {
    const { lane, deps } = this.#parts;
    const { from, to } = this.#bounds([first, last]);
    const filter = new SourceFilter(lane, deps);
    const take: Take = (batch, i, major, minor, index) => {
      this.#hash.take(batch, i, major, minor, index);
      this.#table.push({ major, minor, index }, batch.index[i] ?? -1, this.#hash.low, this.#hash.high, batch.storeTime[i] ?? 0);
    };
    const visitor = {
      records: (batch: RecordBatch, start: number, end: number): void => filter.run(batch, start, end, take),
      gone: (start: Position, end: Position): void => {
        gone.add(start, end);
        lane.gone.add(start, end);
      },
    };
    await readStretch(deps.source, deps.group, { lane: lane.id, from, to }, visitor, deps);
  }

  /** Which positions of the lane a run of blocks stands for: the first block also for all before it. */
  #bounds([first, last]: Run): { from: Position; to: Position } {
    const { blocks, scope } = this.#parts.lane;
    return {
      from: first === 0 ? scope.from : blocks.firstOf(first),
      to: last + 1 < blocks.length ? blocks.firstOf(last + 1) : scope.to,
    };
  }

  /** Gives how many records of the runs the target has. */
  async #readTargets(runs: readonly Run[], unexpected: Difference[]): Promise<number> {
    const { targets, number, deps } = this.#parts;
    let seen = 0;
    for (const target of targets) {
      const visitor = {
        records: (batch: RecordBatch, first: number, end: number): void => {
          for (let i = first; i < end; i++) if (this.#takeTarget(target, runs, batch, i, unexpected)) seen++;
          this.#parts.places.forget();
        },
        gone: (): void => undefined,
      };
      for (const { from, to } of target.segments.holding(number, runs, target.to))
        await readStretch(deps.target, deps.group, { lane: target.id, from, to }, visitor, deps);
    }
    return seen;
  }

  /** False when the record is none of the runs. */
  #takeTarget(target: TargetLane, runs: readonly Run[], batch: RecordBatch, i: number, unexpected: Difference[]): boolean {
    const { places, lane, number } = this.#parts;
    if (!places.read(batch, i) || places.lane !== number) return false;
    const { major, minor, index } = places;
    if (!lane.covers(major, minor, index)) return false;
    const block = lane.blocks.blockOf(major, minor, index);
    if (!runs.some(([first, last]) => block >= first && block <= last)) return false;
    const row = this.#table.row(major, minor, index);
    const position = batch.positionAt(i);
    if (row >= 0) {
      this.#hash.take(batch, i, major, minor, index);
      this.#table.found(row, this.#hash.low, this.#hash.high, target.number, position);
    } else {
      const place = { lane: target.id.lane, position };
      unexpected.push(this.#difference('unexpected', { major, minor, index }, undefined, [place]));
    }
    return true;
  }

  /** The target must not have changed since it was counted: what retention has deleted in between would look lost. */
  #checkSeen(runs: readonly Run[], seen: number): void {
    const { blocks, id } = this.#parts.lane;
    let expected = 0;
    for (const [first, last] of runs) for (let block = first; block <= last; block++) expected += blocks.targetCount(block);
    if (seen === expected) return;
    throw new IsthmusError(
      'CONFLICT',
      `comparing ${id.topic} ${id.lane}: the target gave ${seen} records where it had ${expected} a moment ago (its retention deletes them?); try again`,
      { retryable: true },
    );
  }

  async #report(): Promise<void> {
    const { findings, lane } = this.#parts;
    const table = this.#table;
    for (let row = 0; row < table.length; row++) {
      const copies = table.copies(row);
      if (copies === 1 && !table.changed(row)) continue;
      if (copies === 0) {
        await this.#reportMissing(row);
        continue;
      }
      const targets = table.targets(row, (number) => this.#nameOf(number));
      if (copies > 1) findings.add(this.#difference('doubled', table.position(row), table.time(row), targets));
      if (table.changed(row)) findings.add(this.#difference('changed', table.position(row), table.time(row), targets));
    }
    if (lane.gone.overflown)
      findings.note(`${lane.id.topic} ${lane.id.lane}: the source has too many holes to remember all of them`);
  }

  async #reportMissing(row: number): Promise<void> {
    const place = this.#table.place(row);
    const { findings, lane, floor, startsInside, deps, onMissing } = this.#parts;
    if (floor.expired.has(place)) return findings.absent('expired');
    if (startsInside && (floor.started === undefined || comparePositions(place, floor.started) < 0))
      return findings.absent('before-start');
    if ((await deps.deadLetters(lane.id.topic)).has(lane.id, place)) return findings.absent('dead-lettered');
    const mayHaveExpired = floor.sureFrom === undefined || comparePositions(place, floor.sureFrom) < 0;
    findings.add({ ...this.#difference('missing', this.#table.position(row), this.#table.time(row), []), mayHaveExpired });
    if (!mayHaveExpired) onMissing(this.#table.position(row));
  }

  #reportDescents(runs: readonly Run[]): void {
    const { lane, findings } = this.#parts;
    const last = runs.at(-1)?.[1] ?? -1;
    for (; this.#descent !== undefined; this.#nextDescent()) {
      const { source, target, targetLane, behind } = this.#descent;
      if (lane.blocks.blockOf(source.major, source.minor, source.index) > last) return;
      const row = this.#table.row(source.major, source.minor, source.index);
      // A further copy is doubled, and comes late by nature.
      if (row < 0 || !this.#table.isFirst(row, targetLane, target)) continue;
      const place = { lane: this.#nameOf(targetLane), position: target };
      findings.add({ ...this.#difference('reordered', this.#table.position(row), this.#table.time(row), [place]), behind });
    }
  }

  #nextDescent(): void {
    this.#descent = this.#descents.next().value as Descent | undefined;
  }

  #nameOf(targetLane: number): string {
    return this.#parts.targets[targetLane]?.id.lane ?? '';
  }

  #difference(kind: DifferenceKind, position: Position, time: number | undefined, target: Difference['target']): Difference {
    const { topic, lane } = this.#parts.lane.id;
    return { kind, topic, lane, position, time, target, behind: undefined, mayHaveExpired: false };
  }
}

/** Ascending numbers as runs of neighbours. */
function runsOf(blocks: readonly number[]): Run[] {
  const runs: [number, number][] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] + 1 === block) last[1] = block;
    else runs.push([block, block]);
  }
  return runs;
}
