import type { EntryBroker, StoredRecord } from '../../src/drivers/memory/entry-broker.ts';
import { REFUSED_BODY } from '../../src/drivers/memory/lane-writer.ts';
import type { QueueBroker, StoredMessage } from '../../src/drivers/memory/queue-broker.ts';
import type { MirrorSpec } from '../../src/model/mirror-spec.ts';
import { hasPassed, parseProvenance } from '../../src/model/provenance.ts';
import { targetTopicOf } from '../../src/model/topic-name.ts';
import type { Row } from '../checkers/row.ts';

/** The id of a message, in its body on both sides. */
export function idOf(body: Buffer): string {
  return body.toString().replace(REFUSED_BODY, '');
}

/** Whether the mirror's own rules drop a message: by the filter, or because it has been in the target's cluster. Written apart from the stages that do it. */
export function isDropped(message: StoredMessage, spec: MirrorSpec): boolean {
  const mark = message.mark === undefined ? undefined : parseProvenance(message.mark);
  if (mark !== undefined && hasPassed(mark, 'west')) return true;
  if (spec.filter.tags.length > 0 && !spec.filter.tags.includes(message.tag ?? '')) return true;
  return Object.entries(spec.filter.properties).some(([name, values]) => !values.includes(message.properties?.[name] ?? ''));
}

interface LaneName {
  readonly topic: string;
  readonly lane: string;
}

/** Watches from outside what is stored where, and whether anybody claims more than that. */
export class Ledger {
  readonly #source: QueueBroker;
  readonly #target: EntryBroker;
  readonly #spec: MirrorSpec;
  readonly #stored = new Set<string>();
  readonly #seen = new Map<string, number>();
  /** Up to here each lane was found to be safe. */
  readonly #checked = new Map<string, number>();
  readonly #gaps: (LaneName & { readonly from: number; readonly to: number })[] = [];
  /** Where a lane began: the first place that anybody knew, or what had not expired by then. */
  readonly #starts = new Map<string, number>();

  constructor(source: QueueBroker, target: EntryBroker, spec: MirrorSpec) {
    this.#source = source;
    this.#target = target;
    this.#spec = spec;
  }

  noteGap(lane: LaneName, from: number, to: number): void {
    this.#gaps.push({ ...lane, from, to });
  }

  /** Somebody claims that everything before `next` is safe. Throws when it is not. */
  claim(what: string, lane: LaneName, next: number): void {
    const name = `${lane.topic} ${lane.lane}`;
    if (!this.#starts.has(name)) {
      const earliest = this.#source.begin(lane.topic, lane.lane);
      this.#starts.set(name, this.#spec.start === 'latest' ? next : Math.min(next, earliest));
    }
    const checked = this.#checked.get(name) ?? 0;
    if (next <= checked) return;
    this.#readTargets();
    for (const message of this.#source.history(lane.topic, lane.lane).slice(checked, next)) {
      if (!this.#isSafe(lane, message)) throw new Error(`${what} of ${name} says ${next}, but ${message.offset} is not stored`);
    }
    this.#checked.set(name, next);
  }

  #isSafe(lane: LaneName, message: StoredMessage): boolean {
    return isDropped(message, this.#spec) || this.#stored.has(idOf(message.body)) || this.#isExcused(lane, message);
  }

  /** Messages that need not arrive: from before the start, or told of as lost. */
  #isExcused({ topic, lane }: LaneName, { offset }: StoredMessage): boolean {
    if (offset < (this.#starts.get(`${topic} ${lane}`) ?? 0)) return true;
    return this.#gaps.some((gap) => gap.topic === topic && gap.lane === lane && gap.from <= offset && offset < gap.to);
  }

  /** The messages that have to be in the target. */
  expected(topic: string, lanes: readonly string[], isBad: (message: StoredMessage) => boolean): Row[] {
    return lanes.flatMap((lane) =>
      this.#source
        .history(topic, lane)
        .filter((message) => !isDropped(message, this.#spec) && !isBad(message))
        .filter((message) => this.#stored.has(idOf(message.body)) || !this.#isExcused({ topic, lane }, message))
        .map((message) => ({ lane, place: message.offset, id: idOf(message.body), key: message.key ?? null })),
    );
  }

  /** A message that the target refuses has to be among the dead letters. */
  claimKept(topic: string, lane: string, message: StoredMessage, kept: readonly StoredRecord[]): void {
    if (isDropped(message, this.#spec) || this.#isExcused({ topic, lane }, message)) return;
    if (!kept.some(({ body }) => body.equals(message.body))) throw new Error(`${idOf(message.body)} was refused and is nowhere`);
  }

  isMissing(row: Row): boolean {
    return row.id !== null && !this.#stored.has(row.id);
  }

  /** All that was ever written for a source topic. */
  targetRows(topic: string): (Row & { readonly record: StoredRecord })[] {
    this.#readTargets();
    const target = targetTopicOf(this.#spec, topic);
    const partitions = this.#target.describe(target)?.lanes.length ?? 0;
    return Array.from({ length: partitions }, (_, partition) =>
      this.#target
        .history(target, partition)
        .flatMap((entry) => entry.records)
        .map((record, place) => ({ lane: String(partition), place, id: idOf(record.body), key: record.key ?? null, record })),
    ).flat();
  }

  #readTargets(): void {
    for (const topic of this.#target.topics) {
      const partitions = this.#target.describe(topic)?.lanes.length ?? 0;
      for (let partition = 0; partition < partitions; partition++) {
        const name = `${topic} ${partition}`;
        const history = this.#target.history(topic, partition);
        for (const { records } of history.slice(this.#seen.get(name) ?? 0)) {
          for (const { body } of records) this.#stored.add(idOf(body));
        }
        this.#seen.set(name, history.length);
      }
    }
  }
}
