import { IsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Delivery, LaneReader } from '../../spi/source.ts';
import type { Stage, Verdicts } from '../../spi/stage.ts';
import type { Intake } from '../intake.ts';
import { Group, type Judged } from './groups.ts';
import type { LaneWindow } from './lane-window.ts';
import type { AddIds } from './record-ids.ts';

/** One question to the store is about so many ids at most, or one batch. */
const MAX_GROUP_IDS = 768;
/** Groups that are read ahead: one is being handed out while the next one's claim is on its way. */
const MAX_GROUPS = 2;
/** Groups that were handed out and are not confirmed yet. */
const MAX_UNCONFIRMED = 64;
const FIRST_WAIT_MILLIS = 20;
const MAX_WAIT_MILLIS = 1_000;
/** A wait that has become so long is told of. */
const TELL_MILLIS = 300;

export interface ClaimingParts {
  readonly reader: LaneReader;
  readonly window: LaneWindow;
  readonly addIds: AddIds;
  readonly clock: Clock;
  readonly random: () => number;
  readonly endOf: (batch: RecordBatch) => Position;
  /** Records that go on without having been checked. */
  readonly onUnchecked: (records: number) => void;
  /** Somebody else has records of ours on the way, and `undefined` when they have come. */
  readonly onWaiting: (error: IsthmusError | undefined) => void;
}

/**
 * Reads ahead and claims the ids of what it has read in the dedup window, before any of it is handed out.
 *
 * (D1) A record is handed out only under a claim of ours, or counted as unchecked. It is dropped only when the window says that it is in the target, or on its way there from
 *      the same lane.
 * (D2) An id is confirmed only after its record is stored, and `unconfirmedFrom` holds the checkpoint until it is: after a crash the record is read again, found, and confirmed.
 * (D3) What was handed out and may be stored keeps its claim, whatever becomes of the attempt; all else is given back.
 * (D4) Nobody waits for a record of another lane while holding claims on records that come after it: two lanes with two orders would wait for each other.
 */
export class ClaimingIntake implements Intake {
  readonly #parts: ClaimingParts;
  readonly #judge: (batch: RecordBatch, verdicts: Verdicts) => void;
  readonly #ahead: Group[] = [];
  readonly #handed: Group[] = [];
  readonly #confirming = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #filling: { readonly group: Group; readonly first: Int32Array } | undefined;
  #changed: Deferred<void> = deferred();
  #failure: unknown;

  /** `judgeWith` runs the lane's stages with a witness among them. */
  constructor(parts: ClaimingParts, judgeWith: (witness: Stage) => (batch: RecordBatch, verdicts: Verdicts) => void) {
    this.#parts = parts;
    this.#judge = judgeWith((batch, verdicts) => this.#addIds(batch, verdicts));
  }

  /** What is not confirmed yet begins here: a checkpoint must not pass it (D2). */
  get unconfirmedFrom(): Position | undefined {
    return this.#handed[0]?.begin;
  }

  poll(): Judged | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    this.#fill();
    const [head] = this.#ahead;
    if (head?.ready !== true || this.#handed.length >= MAX_UNCONFIRMED) return undefined;
    const item = head.items.shift();
    if (this.#handed.at(-1) !== head && head.begin !== undefined) this.#handed.push(head);
    if (head.items.length === 0) {
      this.#ahead.shift();
      this.#fill();
    }
    return item;
  }

  async read(): Promise<Judged> {
    for (;;) {
      const item = this.poll();
      if (item !== undefined) return item;
      if (this.#closed.signal.aborted) throw closed();
      if (this.#ahead.length === 0) this.#take([await this.#parts.reader.read()]);
      else await this.#changed.promise;
    }
  }

  /** Everything before `next` is stored: ids up to there are confirmed. */
  safe(next: Position): void {
    for (const group of this.#handed) {
      if (group.items.length > 0 || group.end === undefined || comparePositions(group.end, next) > 0) break;
      if (!group.confirmed) this.#confirm(group);
    }
  }

  skip(batch: RecordBatch, i: number): void {
    for (const group of this.#handed) group.skip(batch, i);
  }

  /** The lane ends at a row, and everything before it is stored. */
  stopAt(batch: RecordBatch, i: number): void {
    const [...handed] = this.#handed;
    for (const group of handed) {
      group.skipFrom(batch, i);
      if (!group.confirmed) this.#confirm(group);
    }
  }

  /** Resolves when all that is safe is confirmed. */
  async settle(): Promise<void> {
    while (this.#confirming.size > 0) await Promise.all(this.#confirming);
  }

  /** Gives back what was not handed out: batches, and their claims (D3). */
  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    const ahead = this.#ahead.splice(0);
    for (const item of ahead.flatMap(({ items }) => items)) if (item.kind === 'records') item.batch.release();
    this.#change();
    await Promise.all(ahead.filter((group) => this.#handed.at(-1) !== group).map((group) => this.#release(group)));
  }

  #fill(): void {
    while (this.#ahead.length < MAX_GROUPS && !this.#closed.signal.aborted) {
      const delivery = this.#parts.reader.poll();
      if (delivery === undefined) return;
      this.#take([delivery]);
    }
  }

  /** A new group of these deliveries and what else is there already. */
  #take(deliveries: Delivery[]): void {
    if (this.#closed.signal.aborted) {
      for (const each of deliveries) if (each.kind === 'records') each.batch.release();
      return;
    }
    const group = new Group();
    for (let next = deliveries.shift(); next !== undefined; next = this.#more(group)) {
      if (next.kind === 'gap') group.items.push(next);
      else if (next.batch.count === 0) next.batch.release();
      else this.#add(group, next.batch);
    }
    if (group.items.length === 0) return;
    this.#ahead.push(group);
    this.#serve(group).catch((error: unknown) => {
      this.#failure ??= error;
      this.#change();
    });
  }

  #more(group: Group): Delivery | undefined {
    return group.ids.count < MAX_GROUP_IDS ? this.#parts.reader.poll() : undefined;
  }

  #add(group: Group, batch: RecordBatch): void {
    const verdicts: Verdicts = Array.from({ length: batch.count });
    const first = new Int32Array(batch.count + 1).fill(group.ids.count);
    this.#filling = { group, first };
    this.#judge(batch, verdicts);
    this.#filling = undefined;
    group.add(batch, verdicts, first, this.#parts.endOf(batch));
  }

  /** As one of the stages: behind those that drop records, before those that change them. */
  #addIds(batch: RecordBatch, verdicts: Verdicts): void {
    if (this.#filling === undefined) return;
    const { group, first } = this.#filling;
    for (let i = 0; i < batch.count; i++) {
      first[i] = group.ids.count;
      if (verdicts[i] === undefined) this.#parts.addIds(group.ids, batch, i);
      else if (verdicts[i] === 'duplicate') this.#parts.addIds(group.found, batch, i);
    }
    first[batch.count] = group.ids.count;
  }

  async #serve(group: Group): Promise<void> {
    const { window, clock, random, onUnchecked, onWaiting } = this.#parts;
    // What the look at the target has found: it may have been stored right before a crash.
    if (group.found.count > 0) await window.confirm(group.found);
    for (let wait = FIRST_WAIT_MILLIS; !this.#closed.signal.aborted; wait = Math.min(MAX_WAIT_MILLIS, wait * 2)) {
      const checked = group.ids.count === 0 || (await window.claim(group.ids));
      group.claimed = checked;
      if (this.#closed.signal.aborted) return await this.#release(group);
      if (!checked) onUnchecked(group.ids.count);
      const behindBlocked = this.#ahead[0] !== group && this.#ahead[0]?.waits === true;
      if (!behindBlocked && (!checked || !group.blocked)) {
        if (checked) group.judge();
        if (group.waits) onWaiting(undefined);
        group.waits = false;
        group.ready = true;
        return this.#change();
      }
      if (!behindBlocked) {
        group.waits = true;
        if (wait >= TELL_MILLIS)
          onWaiting(new IsthmusError('OTHER_WRITER', 'claiming records: another lane has some of them on the way'));
      }
      await this.#releaseFrom(group);
      await clock.sleep(wait * (0.5 + random()), this.#closed.signal);
    }
  }

  /** Of a group that waits, and of those behind it (D4). */
  async #releaseFrom(group: Group): Promise<void> {
    const from = this.#ahead.indexOf(group);
    for (const each of this.#ahead.slice(Math.max(0, from))) {
      if (!each.claimed) continue;
      await this.#release(each);
      if (each === group || !each.ready) continue;
      each.ready = false;
      void this.#serve(each).catch((error: unknown) => {
        this.#failure ??= error;
        this.#change();
      });
    }
  }

  async #release(group: Group): Promise<void> {
    if (!group.claimed || group.ids.count === 0) return;
    group.claimed = false;
    await this.#parts.window.release(group.ids);
  }

  #confirm(group: Group): void {
    group.confirmed = true;
    const confirming = (group.ids.count === 0 ? Promise.resolve() : this.#parts.window.confirm(group.ids)).then(
      () => this.#confirmedUpTo(group),
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
    const tracked = confirming.finally(() => this.#confirming.delete(tracked));
    this.#confirming.add(tracked);
  }

  /** In order: the first that is not confirmed holds the checkpoint. */
  #confirmedUpTo(group: Group): void {
    group.done = true;
    while (this.#handed[0]?.done === true) this.#handed.shift();
    this.#change();
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = deferred();
    changed.resolve();
  }
}

function closed(): IsthmusError {
  return new IsthmusError('CLOSED', 'reading a lane: it was closed');
}
