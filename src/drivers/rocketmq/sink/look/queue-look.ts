import { IsthmusError } from '../../../../errors.ts';
import type { FramePool } from '../../../../lib/frame-pool.ts';
import type { Clock } from '../../../../spi/clock.ts';
import type { Groups } from '../../groups.ts';
import type { Network } from '../../network.ts';
import { accepted, refusal } from '../../refusal.ts';
import { ResponseCode } from '../../wire/codes.ts';
import type { Command } from '../../wire/command.ts';
import { PullEncoder, readPullHeader } from '../../wire/pull-message.ts';
import { getMaxOffset, getMinOffset, readOffset } from '../../wire/queue-offset.ts';
import { readMarks, type VisitMark } from './stored-marks.ts';

/** Pulls by this group commit nothing; some brokers ask for one. */
const GROUP = 'isthmus-look';
const PULL_TIMEOUT_MILLIS = 15_000;
/** Messages asked for at a time, which is what brokers give by default, and how many such pulls are under way. */
const STEP = 32;
const DEPTH = 8;
const MAX_EMPTY_ANSWERS = 100;
const EMPTY_STEP_MILLIS = 50;

export interface LookParts {
  readonly network: Network;
  readonly groups: Groups;
  readonly frames: FramePool;
  readonly clock: Clock;
}

/** A queue at the broker that has it now. */
export interface QueuePlace {
  readonly address: string;
  readonly topic: string;
  readonly queueId: number;
}

/** Where a queue begins, and the offset that its next message will get. */
export async function queueEnds(
  { network }: LookParts,
  place: QueuePlace,
): Promise<{ readonly begin: number; readonly end: number }> {
  const { address, topic, queueId } = place;
  const doing = `looking up the ends of ${topic} at ${address}`;
  const begin = readOffset(accepted(await network.call(address, getMinOffset(topic, queueId)), doing));
  const end = readOffset(accepted(await network.call(address, getMaxOffset(topic, queueId)), doing));
  return { begin: Math.min(begin, end), end };
}

/** Visits the marks of the messages with offsets in [from, to), in order; what expires meanwhile is left out. Holds some answers at a time. */
export async function lookThrough(
  parts: LookParts,
  place: QueuePlace,
  from: number,
  to: number,
  visit: VisitMark,
): Promise<void> {
  const encoder = lookEncoder(parts, place);
  const ahead: Promise<Command[]>[] = [];
  let next = from;
  try {
    while (next < to || ahead.length > 0) {
      while (ahead.length < DEPTH && next < to) {
        const end = Math.min(to, next + STEP);
        const pulled = pullRange(parts, encoder, place, next, end);
        // Awaited in its turn; until then a failure must not count as nobody's.
        pulled.catch(() => undefined);
        ahead.push(pulled);
        next = end;
      }
      for (const answer of (await ahead.shift()) ?? []) {
        readMarks(answer.body, visit);
        parts.frames.give(answer.body);
      }
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

/** Makes the pulls of a look at one queue. */
export function lookEncoder({ network }: LookParts, { topic, queueId }: QueuePlace): PullEncoder {
  return new PullEncoder(GROUP, topic, queueId, network.sign);
}

/** The answers that together hold [from, to), less what has expired; whoever has read one gives its body back to the frames. */
export async function pullRange(
  parts: LookParts,
  encoder: PullEncoder,
  place: QueuePlace,
  from: number,
  to: number,
): Promise<Command[]> {
  const answers: Command[] = [];
  let empty = 0;
  for (let at = from; at < to; ) {
    const answer = await pull(parts, encoder, place, at, to - at);
    const { nextOffset, minOffset } = readPullHeader(answer);
    if (answer.code === ResponseCode.SUCCESS && nextOffset > at) {
      answers.push(answer);
      at = nextOffset;
    } else if (at < minOffset) at = minOffset;
    else if (answer.code === ResponseCode.PULL_RETRY_IMMEDIATELY && nextOffset > at) at = nextOffset;
    else if (++empty > MAX_EMPTY_ANSWERS)
      throw new IsthmusError(
        'BROKER_BUSY',
        `looking through ${place.topic} at ${place.address}: nothing is said of offset ${at} (${answer.code} ${answer.remark.slice(0, 100)})`,
      );
    else await parts.clock.sleep(EMPTY_STEP_MILLIS);
  }
  return answers;
}

/** Answers without messages: nothing there (yet), or the place is not in the queue. */
const MESSAGELESS: ReadonlySet<number> = new Set([
  ResponseCode.PULL_NOT_FOUND,
  ResponseCode.PULL_RETRY_IMMEDIATELY,
  ResponseCode.PULL_OFFSET_MOVED,
]);

async function pull(
  parts: LookParts,
  encoder: PullEncoder,
  place: QueuePlace,
  offset: number,
  maxMessages: number,
): Promise<Command> {
  const { network, groups } = parts;
  const connection = await network.connection(place.address);
  const request = { offset, maxMessages, suspendMillis: 0 };
  let answer = await connection.ask((opaque) => encoder.encode(request, opaque), PULL_TIMEOUT_MILLIS);
  if (answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST) {
    await groups.create(place.address, GROUP);
    answer = await connection.ask((opaque) => encoder.encode(request, opaque), PULL_TIMEOUT_MILLIS);
  }
  if (answer.code !== ResponseCode.SUCCESS && !MESSAGELESS.has(answer.code))
    throw refusal(answer, `looking through ${place.topic} at ${place.address}`);
  return answer;
}
