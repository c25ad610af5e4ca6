/**
 * A place in a lane, ordered by (major, minor, index).
 *
 * RocketMQ uses `major` alone (the queue offset, text `125000`); Pulsar uses ledger, entry and batch index
 * (text `812:45:3`, or `812:45` for a whole entry). Parts that are not used hold -1. All parts are safe integers:
 * a RocketMQ offset and a Pulsar ledger id stay far below 2^53 in any cluster that exists.
 */
export interface Position {
  readonly major: number;
  readonly minor: number;
  readonly index: number;
}

/** A RocketMQ queue offset, or any other single counter, as a position. */
export function offsetPosition(offset: number): Position {
  return { major: offset, minor: -1, index: -1 };
}

/** A Pulsar message id as a position; `index` is -1 for a whole entry. */
export function entryPosition(ledger: number, entry: number, index = -1): Position {
  return { major: ledger, minor: entry, index };
}

/** Negative when `a` comes before `b`, positive when after, 0 when equal. */
export function comparePositions(a: Position, b: Position): number {
  return a.major - b.major || a.minor - b.minor || a.index - b.index;
}

/** The text form: unused trailing parts are left out. */
export function formatPosition(position: Position): string {
  if (position.minor < 0) return String(position.major);
  if (position.index < 0) return `${position.major}:${position.minor}`;
  return `${position.major}:${position.minor}:${position.index}`;
}

const POSITION_TEXT = /^(-?\d{1,16})(?::(-?\d{1,16})(?::(-?\d{1,16}))?)?$/;

/** Reads the text form; `undefined` when it is not one. */
export function parsePosition(text: string): Position | undefined {
  const match = POSITION_TEXT.exec(text);
  if (match === null) return undefined;
  const [major, minor, index] = [Number(match[1]), Number(match[2] ?? -1), Number(match[3] ?? -1)];
  if (![major, minor, index].every(Number.isSafeInteger)) return undefined;
  return { major, minor, index };
}

/** The position `n` neighbours further on: the last part that is used counts up. */
export function advancePosition(position: Position, n: number): Position {
  if (position.index >= 0) return { ...position, index: position.index + n };
  if (position.minor >= 0) return { ...position, minor: position.minor + n };
  return { ...position, major: position.major + n };
}

/**
 * How many neighbours `b` lies after `a`; `undefined` when the two differ in more than their last part. A single message has no neighbours in the batch behind it: a run that
 * joined them would speak of an entry that is not stored.
 */
export function neighbourDistance(a: Position, b: Position): number | undefined {
  if (a.index >= 0 || b.index >= 0) {
    return a.index >= 0 && b.index >= 0 && a.major === b.major && a.minor === b.minor ? b.index - a.index : undefined;
  }
  if (a.minor >= 0 && b.minor >= 0) return a.major === b.major ? b.minor - a.minor : undefined;
  return a.minor < 0 && b.minor < 0 ? b.major - a.major : undefined;
}

/** How many of the `count` neighbours from `first` on lie before `end`, which may have other parts in use: `812:45+3` before `812:46:7` are two entries. */
export function countBefore(first: Position, count: number, end: Position): number {
  let before: number;
  if (first.index >= 0) {
    const sameEntry = first.major === end.major && first.minor === end.minor;
    before = sameEntry ? end.index - first.index : comparePositions(first, end) < 0 ? count : 0;
  } else if (first.minor >= 0) {
    const sameLedger = first.major === end.major;
    before = sameLedger ? end.minor - first.minor + (end.index < 0 ? 0 : 1) : first.major < end.major ? count : 0;
  } else {
    before = end.major - first.major + (end.minor < 0 ? 0 : 1);
  }
  return Math.max(0, Math.min(count, before));
}

/** Where the first whole entry begins at or after a position: `812:45:0` lies in an entry already. A position without entries is one. */
export function entryAtOrAfter({ major, minor, index }: Position): Position {
  return { major, minor: index >= 0 ? minor + 1 : minor, index: -1 };
}

/** Before every record of any lane. */
export const BEFORE_ALL: Position = { major: -1, minor: -1, index: -1 };
