import { IsthmusError } from '../../../../src/errors.ts';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import { systemClock } from '../../../../src/lib/clock.ts';
import { deferred } from '../../../../src/lib/deferred.ts';
import { Pace } from '../../../../src/mirror/audit/pace.ts';
import { AUDIT_SIZES, type AuditDeps, type AuditProgress, type AuditSizes } from '../../../../src/mirror/audit/plan.ts';
import type { LaneId } from '../../../../src/model/lane.ts';
import { laneKey } from '../../../../src/model/lane.ts';
import { advancePosition, comparePositions, offsetPosition, type Position } from '../../../../src/model/position.ts';
import { plainMarks } from '../../../../src/model/provenance.ts';
import { PROPERTY_ROW, RecordBatch } from '../../../../src/model/record-batch.ts';
import type { Delivery, LaneReader, ReadOptions, Source, StartAt } from '../../../../src/spi/source.ts';

export interface FakeRecord {
  readonly position: Position;
  readonly body: string;
  readonly key?: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>>;
  readonly time?: number;
  readonly mark?: string | undefined;
  readonly ordinal?: number;
  readonly entryMark?: string;
  readonly entryOrdinal?: number;
  readonly damage?: string;
}

export function batchOf(records: readonly FakeRecord[]): RecordBatch {
  const parts: Buffer[] = [];
  let length = 0;
  const put = (text: string | undefined): [number, number] => {
    if (text === undefined) return [-1, -1];
    const bytes = Buffer.from(text);
    parts.push(bytes);
    length += bytes.length;
    return [length - bytes.length, length];
  };
  const batch = new RecordBatch(records.length);
  batch.count = records.length;
  let rows = 0;
  records.forEach((record, i) => {
    const { major, minor, index } = record.position;
    [batch.major[i], batch.minor[i], batch.index[i]] = [major, minor, index];
    batch.storeTime[i] = record.time ?? 0;
    [batch.bodyStart[i], batch.bodyEnd[i]] = put(record.body);
    [batch.keyStart[i], batch.keyEnd[i]] = put(record.key);
    [batch.tagStart[i], batch.tagEnd[i]] = put(record.tag);
    [batch.provenanceStart[i], batch.provenanceEnd[i]] = put(record.mark);
    batch.provenanceOrdinal[i] = record.ordinal ?? 0;
    [batch.entryMarkStart[i], batch.entryMarkEnd[i]] = put(record.entryMark);
    batch.entryMarkOrdinal[i] = record.entryOrdinal ?? 0;
    batch.propertyFirst[i] = rows;
    for (const [name, value] of Object.entries(record.properties ?? {})) {
      batch.reserveProperties(rows + 1);
      batch.properties.set([...put(name), ...put(value)], rows++ * PROPERTY_ROW);
    }
    batch.propertyFirst[i + 1] = rows;
    if (record.damage !== undefined) (batch.damaged ??= new Map()).set(i, record.damage);
  });
  batch.bytes = Buffer.concat(parts);
  return batch;
}

/** Lanes as arrays of records, each in order. */
export class ArraySource implements Source {
  readonly passesWhole = false;
  readonly lanes: Map<string, FakeRecord[]> = new Map();
  readonly opened: { readonly lane: LaneId; readonly from: Position; readonly options: ReadOptions }[] = [];
  readonly #batchRecords: number;
  /** Deleted from the beginning, per lane. */
  readonly trimmed: Map<string, number> = new Map();
  /** Called before each delivery. */
  onRead: () => void = () => undefined;

  constructor(batchRecords = 7) {
    this.#batchRecords = batchRecords;
  }

  lane(id: LaneId): readonly FakeRecord[] {
    return (this.lanes.get(laneKey(id)) ?? []).slice(this.trimmed.get(laneKey(id)) ?? 0);
  }

  async openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader> {
    this.opened.push({ lane, from, options });
    const nothing = deferred<Delivery>();
    nothing.promise.catch(() => undefined);
    let next = from;
    const poll = (): Delivery | undefined => {
      this.onRead();
      const rest = this.lane(lane).filter(({ position }) => comparePositions(position, next) >= 0);
      const records = rest.slice(0, this.#batchRecords);
      const last = records.at(-1);
      if (last === undefined) return undefined;
      next = this.next(last.position);
      return { kind: 'records', batch: batchOf(records) };
    };
    return {
      poll,
      read: () => {
        const delivery = poll();
        return delivery === undefined ? nothing.promise : Promise.resolve(delivery);
      },
      extent: () => undefined,
      commit: () => Promise.reject(new Error('an onlooker must not commit')),
      close: async () => nothing.reject(new IsthmusError('CLOSED', 'reading: closed')),
    };
  }

  async committed(): Promise<Position | undefined> {
    return undefined;
  }

  async resolveStart(lane: LaneId, start: StartAt): Promise<Position> {
    const records = this.lane(lane);
    const last = records.at(-1);
    const end = last === undefined ? offsetPosition(0) : this.next(last.position);
    if (start.kind === 'latest') return end;
    const found = start.kind === 'earliest' ? records[0] : records.find(({ time = 0 }) => time >= start.time);
    return found?.position ?? end;
  }

  next(position: Position): Position {
    return advancePosition(position, 1);
  }
}

export function auditDeps(
  source: Source,
  target: Source,
  changes: Partial<AuditDeps> = {},
  sizes: Partial<AuditSizes> = {},
): AuditDeps {
  return {
    sourceCluster: 'east',
    source,
    target,
    group: 'isthmus-verify',
    marks: plainMarks,
    likeness: undefined,
    stages: () => [],
    readIndex: async () => [],
    deadLetters: async () => ({ has: () => false }),
    budget: new ByteBudget(1_000_000),
    clock: systemClock,
    signal: new AbortController().signal,
    pace: new Pace(systemClock, () => false),
    sizes: { ...AUDIT_SIZES, ...sizes },
    ...changes,
  };
}

export function newProgress(): AuditProgress {
  return {
    phase: 'reading-source',
    topic: '',
    sourceRecords: 0,
    targetRecords: 0,
    comparedRecords: 0,
    blocks: 0,
    unequalBlocks: 0,
  };
}
