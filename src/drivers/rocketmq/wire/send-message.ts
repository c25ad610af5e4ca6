import { RequestCode } from './codes.ts';
import { type Command, type Field, numberField, type Request } from './command.ts';

/** One message of a batch body: int32 size | int32 magic | int32 CRC | int32 flag | int32 length, body | int16 length, properties; magic and CRC are 0. */
export const INNER_FLAG_AT = 12;
export const INNER_BODY_AT = 20;
/** Bytes of a message in a batch body beside its body and properties. */
export const INNER_BYTES = 22;

/** Bits of sysFlag that may be sent: compressed, and the kind of compression. Others make a broker lose what it has acknowledged (0x30), or are refused. */
export const SENT_FLAGS = 0x701;

const PRODUCER_GROUP = 'isthmus';
const NO_QUEUE = 0x7fffffff;
/** The broker waits for what its own settings ask for, on disk or on a replica, before it answers. No UNIQ_KEY here: with one, a topic of `queue.type=BatchCQ` would store the batch as one message. */
const BATCH_PROPERTIES = 'WAIT\u0001true\u0002';

/** What one request stores in. */
export interface SendTarget {
  readonly topic: string;
  readonly queueId: number;
  /** Of all messages of the request; only `SENT_FLAGS`. */
  readonly sysFlag: number;
  /** Milliseconds since 1970; of all messages of the request. */
  readonly bornTime: number;
}

function fields(target: SendTarget, flag: number, properties: string, batch: boolean): Field[] {
  const { topic, queueId, sysFlag, bornTime } = target;
  return [
    ['a', PRODUCER_GROUP],
    ['b', topic],
    // The topic that a new one would be made after. The same name: a topic that is gone is not made again behind our back.
    ['c', topic],
    ['d', '4'],
    ['e', String(queueId)],
    ['f', String(sysFlag & SENT_FLAGS)],
    ['g', String(bornTime)],
    ['h', String(flag)],
    ['i', properties],
    ['j', '0'],
    ['k', 'false'],
    ['m', String(batch)],
  ];
}

/** 320 SEND_BATCH_MESSAGE: the body is a run of messages as described above, stored side by side or not at all. */
export function sendBatch(target: SendTarget): Request {
  return { code: RequestCode.SEND_BATCH_MESSAGE, fields: fields(target, 0, BATCH_PROPERTIES, true) };
}

/** 310 SEND_MESSAGE_V2: one message. The broker acts on some properties and adds others, unlike in a batch. */
export function sendSingle(target: SendTarget, flag: number, properties: string): Request {
  return { code: RequestCode.SEND_MESSAGE_V2, fields: fields(target, flag, properties, false) };
}

/** A send that stores nothing, because no topic has this queue (answer 29), but passes where all sends pass. */
export function sendNothing(topic: string): Request {
  // Without a body the broker fails before it looks at the queue.
  return { ...sendBatch({ topic, queueId: NO_QUEUE, sysFlag: 0, bornTime: 0 }), body: Buffer.from('-') };
}

/** The queue offset of the (first) message that was stored. */
export function readStoredOffset(answer: Command): number {
  return numberField(answer, 'queueOffset');
}
