import { readStretch } from '../../mirror/audit/stretch-reader.ts';
import type { LaneId } from '../../model/lane.ts';
import { formatPosition } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Checkpoint, StateStore } from '../../spi/state-store.ts';
import { groupName } from '../group-name.ts';
import type { ReadableMirror } from '../readable-mirror.ts';
import type { FailbackListing, ListedLane, LostRecord } from './api.ts';
import { type LaneToList, lanesOf } from './lanes.ts';
import { type KeyCount, LostKeys } from './lost-keys.ts';
import { type LostDeps, type LostStretch, readLost } from './lost-records.ts';

/** Records and keys that are shown, and notes; all are counted. */
const MAX_LISTED = 1_000;
const MAX_LISTED_KEYS = 1_000;
const MAX_NOTES = 100;

/** What is kept of a lane beside what is shown of it: its checkpoint as it is after its records were dropped. */
export interface KeptLane {
  readonly mirror: string;
  readonly lane: LaneId;
  readonly records: number;
  /** Where its checkpoint stood when it was listed, in text form; null without one. */
  readonly checkpoint: string | null;
  readonly dropped: Checkpoint;
  /** All before it is in the review topic, in text form. */
  readonly reviewedTo?: string | undefined;
}

export interface ListingTold {
  readonly phase: 'listing' | 'comparing';
  readonly topic: string;
}

export interface ListingParts {
  readonly id: string;
  readonly failover: string;
  /** Milliseconds since 1970: what the target's applications have written since then is compared. */
  readonly since: number;
  readonly mirrors: readonly ReadableMirror[];
  readonly store: StateStore;
  readonly deps: LostDeps;
  readonly tell: (now: ListingTold) => void;
  readonly onRead: (records: number) => void;
}

export interface ListingOutcome {
  readonly listing: FailbackListing;
  readonly lanes: readonly KeptLane[];
}

/** Finds what only the source of a link has, and which of its keys were written on the target as well. Reads, and changes nothing. */
export async function makeListing(parts: ListingParts): Promise<ListingOutcome> {
  return await new Listing(parts).make();
}

class Listing {
  readonly #parts: ListingParts;
  readonly #keys = new LostKeys();
  readonly #lanes: ListedLane[] = [];
  readonly #kept: KeptLane[] = [];
  readonly #listed: LostRecord[] = [];
  readonly #notes: string[] = [];
  #unkeyed = 0;

  constructor(parts: ListingParts) {
    this.#parts = parts;
  }

  async make(): Promise<ListingOutcome> {
    const { id, failover, since, mirrors, store, deps } = this.#parts;
    const at = deps.clock.now();
    for (const mirror of mirrors) {
      const { lanes, notes } = await lanesOf(mirror, store);
      for (const note of notes) this.#note(note);
      for (const lane of lanes) await this.#list(lane);
    }
    for (const mirror of mirrors) await this.#compare(mirror);
    const listing: FailbackListing = {
      id,
      failover,
      since,
      at,
      records: this.#lanes.reduce((sum, { records }) => sum + records, 0),
      unkeyed: this.#unkeyed,
      keys: this.#keys.count,
      untracked: this.#keys.untracked,
      conflicts: this.#keys.conflicts,
      lanes: this.#lanes,
      listed: this.#listed,
      keyList: this.#keys.list(MAX_LISTED_KEYS),
      notes: this.#notes,
    };
    return { listing, lanes: this.#kept };
  }

  async #list(each: LaneToList): Promise<void> {
    const { lane, mirror, targetTopic } = each;
    const { deps, tell } = this.#parts;
    tell({ phase: 'listing', topic: lane.topic });
    const place = { mirror: mirror.spec.name, topic: lane.topic };
    const visit = (batch: RecordBatch, i: number): undefined => {
      this.#parts.onRead(1);
      const time = batch.storeTime[i] ?? 0;
      const key = batch.text(batch.keyStart[i], batch.keyEnd[i]);
      if (key === undefined) this.#unkeyed++;
      else this.#keys.add({ ...place, targetTopic }, key, time);
      if (this.#listed.length < MAX_LISTED)
        this.#listed.push({ ...place, lane: lane.lane, position: formatPosition(batch.positionAt(i)), time, key: key ?? null });
    };
    const stretch = await readLost(each, {}, visit, deps);
    const { from, end, records, stored, fromTarget, filtered } = stretch;
    for (const note of stretch.notes) this.#note(note);
    const [fromText, endText] = [formatPosition(from), formatPosition(end)];
    this.#lanes.push({ ...place, lane: lane.lane, from: fromText, end: endText, records, stored, fromTarget, filtered });
    const dropped = droppedCheckpoint(each, stretch, deps.clock.now());
    const checkpoint = each.checkpoint === undefined ? null : formatPosition(each.checkpoint.next);
    this.#kept.push({ mirror: place.mirror, lane, records, checkpoint, dropped });
  }

  /** Counts what the target's own applications have written under the keys. */
  async #compare(mirror: ReadableMirror): Promise<void> {
    const { deps, tell, since } = this.#parts;
    for (const topic of this.#keys.topics) {
      if (topic.mirror !== mirror.spec.name) continue;
      tell({ phase: 'comparing', topic: topic.targetTopic });
      const described = await mirror.target.admin.describeTopic(topic.targetTopic);
      for (const { lane } of described?.lanes ?? [])
        await compareLane(mirror, { topic: topic.targetTopic, lane }, since, topic.keys, deps);
    }
  }

  #note(text: string): void {
    if (this.#notes.length < MAX_NOTES) this.#notes.push(text);
  }
}

/**
 * The lane's checkpoint as if it had come past what was listed. The index says nothing of the stretch: it counts as complete from its end on only, so that places of groups before
 * that are looked for in the target.
 */
function droppedCheckpoint({ lane, checkpoint }: LaneToList, stretch: LostStretch, time: number): Checkpoint {
  const { end, targets, cuts, otherWays } = stretch;
  return {
    lane,
    next: end,
    targets: { ...checkpoint?.targets, ...targets },
    indexedFrom: end,
    ...(cuts === undefined ? {} : { cuts }),
    ...(otherWays ? { otherWays } : {}),
    time,
  };
}

async function compareLane(
  { key, spec, target, readsTarget }: ReadableMirror,
  lane: LaneId,
  since: number,
  keys: ReadonlyMap<string, KeyCount>,
  deps: LostDeps,
): Promise<void> {
  const records = (batch: RecordBatch, first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      const keyText = batch.text(batch.keyStart[i], batch.keyEnd[i]);
      const counts = keyText === undefined ? undefined : keys.get(keyText);
      const time = batch.storeTime[i] ?? 0;
      if (counts === undefined || time < since || !isOwn(batch, i, target.name, deps)) continue;
      counts.onTarget++;
      counts.newestOnTarget = Math.max(counts.newestOnTarget ?? 0, time);
    }
  };
  const from = await readsTarget.resolveStart(lane, { kind: 'time', time: since });
  const to = await readsTarget.resolveStart(lane, { kind: 'latest' });
  const group = groupName(key, target.name, spec);
  await readStretch(readsTarget, group, { lane, from, to }, { records, gone: () => undefined }, deps);
}

/** Whether a record was written by an application of the cluster that it was read from: nobody has brought it. */
function isOwn(batch: RecordBatch, i: number, cluster: string, { marks }: LostDeps): boolean {
  if (batch.broughtFrom?.has(i) === true) return false;
  const text = batch.text(batch.provenanceStart[i], batch.provenanceEnd[i]);
  // One that cannot be read says nothing: the record counts as written here.
  return text === undefined || (marks.read(text)?.cluster ?? cluster) === cluster;
}
