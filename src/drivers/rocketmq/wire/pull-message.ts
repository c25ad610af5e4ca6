import { RequestCode } from './codes.ts';
import { type Command, encodeBinary, numberField, type Request } from './command.ts';

/** Bits of the request's sysFlag. Bit 1 (commit an offset with the pull) stays unset: offsets are committed by 15 alone. */
const FLAG_SUSPEND = 2;
const FLAG_SUBSCRIPTION = 4;

const OFFSET_DIGITS = 19;
const INT_DIGITS = 10;

/** What the broker says beside the messages. */
export interface PullHeader {
  /** Where the broker thinks that the next pull should begin. */
  readonly nextOffset: number;
  /** The oldest offset of the queue. */
  readonly minOffset: number;
  /** The offset that the next message of the queue will get. */
  readonly maxOffset: number;
}

/** What changes from pull to pull of a queue. */
export interface PullRange {
  readonly offset: number;
  /** The broker gives what its own limits allow (32 messages or 256 KiB by default), and always the first message whatever its size. */
  readonly maxMessages: number;
  /** How long the broker may hold the pull at the queue's end; 0 = answer at once. It looks only each 5 s, so add that to any timeout. */
  readonly suspendMillis: number;
}

/**
 * 11 PULL_MESSAGE of one queue, as a ready frame in which only digits change: a pull carries some 40 messages at best and
 * one at the tail, so building its 13 fields anew would be a visible part of the cost per message.
 *
 * A signed pull cannot be patched and is built each time.
 */
export class PullEncoder {
  readonly #group: string;
  readonly #topic: string;
  readonly #queueId: number;
  readonly #sign: ((request: Request) => Request) | undefined;
  readonly #template: Buffer;
  readonly #offsetAt: number;
  readonly #maxAt: number;
  readonly #flagAt: number;
  readonly #suspendAt: number;

  constructor(group: string, topic: string, queueId: number, sign: ((request: Request) => Request) | undefined) {
    this.#group = group;
    this.#topic = topic;
    this.#queueId = queueId;
    this.#sign = sign;
    this.#template = encodeBinary(this.#request({ offset: 0, maxMessages: 0, suspendMillis: 0 }), 0);
    // The changing fields come first, so that no topic or group name can be mistaken for one.
    const valueAt = (name: string): number => this.#template.indexOf(name) + name.length + 4;
    this.#offsetAt = valueAt('queueOffset');
    this.#maxAt = valueAt('maxMsgNums');
    this.#flagAt = valueAt('sysFlag');
    this.#suspendAt = valueAt('suspendTimeoutMillis');
  }

  encode(range: PullRange, opaque: number): Buffer {
    if (this.#sign !== undefined) return encodeBinary(this.#sign(this.#request(range)), opaque);
    const frame = Buffer.from(this.#template);
    frame.writeInt32BE(opaque, 13);
    writeDigits(frame, this.#offsetAt, OFFSET_DIGITS, range.offset);
    writeDigits(frame, this.#maxAt, INT_DIGITS, range.maxMessages);
    writeDigits(frame, this.#flagAt, 1, pullFlag(range));
    writeDigits(frame, this.#suspendAt, INT_DIGITS, range.suspendMillis);
    return frame;
  }

  #request(range: PullRange): Request {
    return {
      code: RequestCode.PULL_MESSAGE,
      fields: [
        ['queueOffset', digits(range.offset, OFFSET_DIGITS)],
        ['maxMsgNums', digits(range.maxMessages, INT_DIGITS)],
        ['sysFlag', String(pullFlag(range))],
        ['suspendTimeoutMillis', digits(range.suspendMillis, INT_DIGITS)],
        ['consumerGroup', this.#group],
        ['topic', this.#topic],
        ['queueId', String(this.#queueId)],
        ['commitOffset', '0'],
        ['subscription', '*'],
        ['subVersion', '0'],
        ['expressionType', 'TAG'],
      ],
    };
  }
}

function pullFlag(range: PullRange): number {
  return range.suspendMillis > 0 ? FLAG_SUBSCRIPTION | FLAG_SUSPEND : FLAG_SUBSCRIPTION;
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

function writeDigits(bytes: Buffer, at: number, width: number, value: number): void {
  let rest = value;
  for (let i = at + width - 1; i >= at; i--) {
    const shorter = Math.floor(rest / 10);
    bytes[i] = 48 + (rest - shorter * 10);
    rest = shorter;
  }
}

export function readPullHeader(answer: Command): PullHeader {
  return {
    nextOffset: numberField(answer, 'nextBeginOffset'),
    minOffset: Math.max(0, numberField(answer, 'minOffset')),
    maxOffset: Math.max(0, numberField(answer, 'maxOffset')),
  };
}
