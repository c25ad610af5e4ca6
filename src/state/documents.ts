import { IsthmusError } from '../errors.ts';
import type { LaneId } from '../model/lane.ts';
import { formatPosition, type Position, parsePosition } from '../model/position.ts';
import type { Checkpoint, CutKind, MirrorKey } from '../spi/state-store.ts';

/**
 * Names and values as both stores keep them, as JSON text: JSON keeps every name apart whatever characters it holds, and
 * whoever looks into a store can read it.
 */

const REMEDY =
  'What to do: stop Isthmus, put the store aside (rename the file; on Redis delete the keys under the prefix) and start again. ' +
  'No message is lost or doubled by that; mirrors that were added at runtime have to be added again.';

/** Something in the store is not what Isthmus wrote. `what` names the place. */
export function damaged(what: string, cause?: unknown): IsthmusError {
  return new IsthmusError('STATE_DAMAGED', `reading ${what} from the state store: it is damaged. ${REMEDY}`, { cause });
}

export function mirrorText(key: MirrorKey): string {
  return JSON.stringify([key.link, key.mirror]);
}

export function parseMirrorText(text: string): MirrorKey {
  const [link, mirror] = parsePair(text, 'the name of a mirror');
  return { link, mirror };
}

export function laneText(id: LaneId): string {
  return JSON.stringify([id.topic, id.lane]);
}

export function topicText(cluster: string, topic: string): string {
  return JSON.stringify([cluster, topic]);
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  const targets = Object.fromEntries(
    Object.entries(checkpoint.targets).map(([partition, at]) => [partition, formatPosition(at)]),
  );
  const { next, indexedFrom, cuts, otherWays, time } = checkpoint;
  const from = indexedFrom === undefined ? undefined : formatPosition(indexedFrom);
  return JSON.stringify({ next: formatPosition(next), targets, indexedFrom: from, cuts, otherWays, time });
}

/** `lane` is what `laneText` made. */
export function parseCheckpoint(lane: string, text: string): Checkpoint {
  const what = `the checkpoint of lane ${lane}`;
  const [topic, name] = parsePair(lane, 'the name of a lane');
  const value = parseJson(text, what);
  if (!isRecord(value) || !isRecord(value['targets'])) throw damaged(what);
  const { next, targets, indexedFrom, cuts, otherWays, time } = value;
  if (typeof time !== 'number' || !isCutKind(cuts)) throw damaged(what);
  const places: Record<string, Position> = {};
  for (const [partition, at] of Object.entries(targets)) places[partition] = positionOf(at, what);
  return {
    lane: { topic, lane: name },
    next: positionOf(next, what),
    targets: places,
    ...(indexedFrom === undefined ? {} : { indexedFrom: positionOf(indexedFrom, what) }),
    ...(cuts === undefined ? {} : { cuts }),
    ...(otherWays === true ? { otherWays } : {}),
    time,
  };
}

export function formatLaneTable(lanes: readonly string[]): string {
  return JSON.stringify(lanes);
}

export function parseLaneTable(topic: string, text: string): string[] {
  const value = parseJson(text, `the lane table of topic ${topic}`);
  if (!isTextList(value)) throw damaged(`the lane table of topic ${topic}`);
  return value;
}

function parsePair(text: string, what: string): [string, string] {
  const value = parseJson(text, what);
  if (!isTextList(value)) throw damaged(what);
  const [first, second] = value;
  if (first === undefined || second === undefined) throw damaged(what);
  return [first, second];
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(what, error);
  }
}

function positionOf(value: unknown, what: string): Position {
  const position = typeof value === 'string' ? parsePosition(value) : undefined;
  if (position === undefined) throw damaged(what);
  return position;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCutKind(value: unknown): value is CutKind | undefined {
  return value === undefined || value === 'direct' || value === 'around';
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
