import type { Encode } from '../remoting.ts';
import { encodeHead, type Request } from '../wire/command.ts';
import { INNER_BODY_AT, INNER_FLAG_AT, sendBatch, sendSingle } from '../wire/send-message.ts';
import { NAME_END, VALUE_END } from './encode/names.ts';
import type { QueuePlace } from './look/queue-look.ts';
import { type Piece, piecesBytes } from './outbox.ts';

/** Properties on which a broker acts when a message does not come in a batch: the copy would be delayed once more, or come into another queue. */
const ACTING: ReadonlySet<string> = new Set([
  'DELAY',
  'TIMER_DELIVER_MS',
  'TIMER_DELAY_SEC',
  'TIMER_DELAY_MS',
  'TIMER_OUT_MS',
  '_SYS_MSG_PRIORITY_',
  '__LITE_TOPIC',
]);

/** The request that stores some records side by side. */
export function encodeSend(
  place: QueuePlace,
  pieces: readonly Piece[],
  sign: ((request: Request) => Request) | undefined,
): Encode {
  const first = pieces[0]?.chunk;
  const target = { topic: place.topic, queueId: place.queueId, sysFlag: first?.sysFlag ?? 0, bornTime: first?.bornTime ?? 0 };
  const bytes = piecesBytes(pieces);
  const [inner] = bytes;
  if (first?.single === true && inner !== undefined) {
    const { flag, properties, body } = takeApart(inner);
    return framed(sendSingle(target, flag, properties), [body], sign);
  }
  return framed(sendBatch(target), bytes, sign);
}

function framed(request: Request, bytes: readonly Buffer[], sign: ((request: Request) => Request) | undefined): Encode {
  if (sign !== undefined) {
    // The signature covers the body as well.
    const body = bytes.length === 1 && bytes[0] !== undefined ? bytes[0] : Buffer.concat(bytes);
    const { fields } = sign({ ...request, body });
    return (opaque) => [encodeHead({ ...request, fields }, body.length, opaque), body];
  }
  const length = bytes.reduce((sum, each) => sum + each.length, 0);
  return (opaque) => [encodeHead(request, length, opaque), ...bytes];
}

/** A message of a batch as one of its own. */
function takeApart(inner: Buffer): { readonly flag: number; readonly properties: string; readonly body: Buffer } {
  const bodyEnd = INNER_BODY_AT + inner.readInt32BE(INNER_BODY_AT - 4);
  return {
    flag: inner.readInt32BE(INNER_FLAG_AT),
    properties: inertProperties(inner.subarray(bodyEnd + 2)),
    body: inner.subarray(INNER_BODY_AT, bodyEnd),
  };
}

function inertProperties(bytes: Buffer): string {
  const end = String.fromCharCode(VALUE_END);
  return bytes
    .toString('utf8')
    .split(end)
    .filter((each) => each !== '' && !ACTING.has(each.slice(0, each.indexOf(String.fromCharCode(NAME_END)))))
    .map((each) => each + end)
    .join('');
}
