import type { WindowIds } from '../lib/window-ids.ts';

/** What a window says of an id. Confirming and releasing concern ids that are `fresh` or `ours`, all others are left alone. */
export const Verdict = {
  /** Nobody has it: it is claimed for the caller now. */
  fresh: 0,
  /** The caller has claimed it before, for the record at the same place: an earlier try of the same record. */
  ours: 1,
  /** The caller has claimed it for a record at another place of its lane, in this call or before: a second copy, of which the first is on its way. */
  repeated: 2,
  /** Another owner has it on its way. It is stored or free again within `claimMillis`. */
  claimed: 3,
  /** It is in the target. */
  stored: 4,
} as const;

export interface WindowLimits {
  /** An id is known for at least this long after it was confirmed, and for a quarter longer at most. */
  readonly windowMillis: number;
  /** At most so many ids (a batch more, for a moment). The oldest go first, some quarter of them at a time. */
  readonly maxIds: number;
  /** A claim ends by itself after this time, or up to twice as much: longer than any write may take. */
  readonly claimMillis: number;
}

export interface WindowReport {
  /**
   * Another text than before says that ids may be missing: the store was emptied, restarted, replaced by a replica, or has thrown keys away. Ids that are confirmed after
   * that are kept as ever.
   */
  readonly lossEpoch: string;
  /** For so long nothing was lost. Less than `windowMillis`: either the window is new or something was lost that long ago, which a starting process cannot tell apart. */
  readonly completeMillis: number;
}

/**
 * The ids of the records in a target topic, as one owner sees them: exact, so that no record is ever dropped for its likeness to another. `claim`, write, then `confirm` or
 * `release`. One round trip per call up to 1,024 ids, or runs of 256 positions; more are split.
 *
 * A call may be repeated without harm, also one whose outcome is not known: what is claimed already is `ours` then. Every call rejects with STATE_UNAVAILABLE when the
 * store does not answer within its limit. Ages are taken by the store's own clock: a step of it forward forgets as much, a step back keeps longer.
 */
export interface DedupWindow {
  /** Sets `ids.verdicts`. */
  claim(ids: WindowIds): Promise<WindowReport>;
  /** Says that ids are in the target. A claim is not needed for it: what a look at the target has found is confirmed, too. */
  confirm(ids: WindowIds): Promise<WindowReport>;
  /** Gives our claims back. Those of others stay. */
  release(ids: WindowIds): Promise<WindowReport>;
  report(): Promise<WindowReport>;
}

export interface DedupWindows {
  /**
   * The window of a target topic. `owner` tells claimants apart: whoever comes back under the same name takes its claims over, so it names what only one process at a time
   * does (link, mirror, source topic, lane, behind a lease or a fence). Nothing is asked of the store yet.
   */
  open(cluster: string, topic: string, owner: string, limits: WindowLimits): DedupWindow;
  /** Forgets what is in the window of a topic, for all. */
  forget(cluster: string, topic: string): Promise<void>;
}
