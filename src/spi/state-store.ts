import type { LaneId } from '../model/lane.ts';
import type { Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';
import type { DedupWindows } from './dedup-window.ts';
import type { LeaseStore } from './lease.ts';

/** Names a mirror: `link/mirror`. */
export interface MirrorKey {
  readonly link: string;
  readonly mirror: string;
}

export type CutKind = 'direct' | 'around';

/** How far a lane has come. All records before `next` are stored in the target (or were dropped for a counted reason). */
export interface Checkpoint {
  readonly lane: LaneId;
  readonly next: Position;
  /** Per target partition (`topic#partition`): all that this lane stored of records at or after `next` lies behind this place, so a look at the target begins here. `-1` parts = at its beginning. */
  readonly targets: Readonly<Record<string, Position>>;
  /**
   * From this source position up to `next`, everything that the target has of the lane is in the position index, and so is what came from the target (see `IndexEntry`). Before every position (-1):
   * the lane has never written before. `undefined`: unknown, so that a place has to be looked for in the target.
   */
  readonly indexedFrom?: Position | undefined;
  /**
   * Whether records were cut that came from the target: read there (`direct`), or come around over other clusters as well (`around`), which have no order that the target knows.
   * Without the index nothing then tells which of the target's own records a group has had. `undefined`: none so far.
   */
  readonly cuts?: CutKind | undefined;
  /** Whether records were left out because another way had brought them to the target before: then others may lie there that this lane has yet to come to. */
  readonly otherWays?: boolean | undefined;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/**
 * Where records of a source lane lie in the target: `runs` of neighbours beginning at `target` (see Stored). Records that came from the target, and are therefore not written there, have
 * entries too, under a lane name of their own (`cutLane`): for a group it does not matter on which side a record was written first. `target` then names the record even in an entry.
 */
export interface IndexEntry {
  readonly runs: readonly PositionRun[];
  readonly partition: number;
  readonly target: Position;
}

/** A wanted mirror or a wish about one, as JSON text made and read by control. */
export interface RegistryEntry {
  readonly key: MirrorKey;
  readonly document: string;
}

/**
 * Registry, checkpoints, lane tables and position index. Losing it never loses or doubles records. Every call rejects with STATE_UNAVAILABLE when the store
 * does not answer within its limit; callers go on and try again later.
 */
export interface StateStore {
  /** A random id made when the store was empty; a changed id means that the store was lost or replaced, and all is written anew. */
  generation(): Promise<string>;

  loadRegistry(): Promise<RegistryEntry[]>;
  saveRegistryEntry(entry: RegistryEntry): Promise<void>;
  deleteRegistryEntry(key: MirrorKey): Promise<void>;

  /** A note of control as text, by name (`failover/east-west`); `undefined` when there is none. */
  loadNote(name: string): Promise<string | undefined>;
  /** Keeps it through a crash; `undefined` deletes it. */
  saveNote(name: string, text: string | undefined): Promise<void>;

  loadCheckpoints(key: MirrorKey): Promise<Checkpoint[]>;
  /** All in one round trip. */
  saveCheckpoints(key: MirrorKey, checkpoints: readonly Checkpoint[]): Promise<void>;

  /** Which lane feeds which partition of a target topic: index = partition. Empty when none was kept. */
  loadLaneTable(key: MirrorKey, topic: string): Promise<string[]>;
  /**
   * Keeps it if what is kept is `former` (empty = nothing), and tells whether it did: several processes may share a link, and each has to see what the others gave away.
   * Without `former` it is kept in any case.
   */
  saveLaneTable(key: MirrorKey, topic: string, lanes: readonly string[], former?: readonly string[]): Promise<boolean>;

  /**
   * The names of a target topic's lanes: index = partition number. Known to all mirrors that write there, and kept when one of them is forgotten. The list only grows at its
   * end for as long as the topic lives. Empty when none was kept.
   */
  loadTargetLanes(cluster: string, topic: string): Promise<string[]>;
  /** As `saveLaneTable`. */
  saveTargetLanes(cluster: string, topic: string, lanes: readonly string[], former?: readonly string[]): Promise<boolean>;

  /** Adds to the position index of lanes, in any order; what is there already is not there twice. One round trip per call, whatever the number of lanes. */
  appendIndex(
    key: MirrorKey,
    entries: readonly { readonly lane: LaneId; readonly entries: readonly IndexEntry[] }[],
  ): Promise<void>;
  /** The entries that hold or surround [from, to], ascending: includes the last entry that begins at or before `from`. At most `limit`. */
  readIndex(key: MirrorKey, lane: LaneId, from: Position, to: Position, limit: number): Promise<IndexEntry[]>;

  /** Forgets the checkpoint and the index of a lane: of a source topic that was deleted and made again, they speak of its former self. */
  forgetLane(key: MirrorKey, lane: LaneId): Promise<void>;
  /** Forgets checkpoints, lane tables and index of a mirror (not its registry entry). */
  forgetMirror(key: MirrorKey): Promise<void>;
  close(): Promise<void>;
}

/** All that a store keeps. */
export interface State extends StateStore {
  readonly leases: LeaseStore;
  readonly windows: DedupWindows;
}
