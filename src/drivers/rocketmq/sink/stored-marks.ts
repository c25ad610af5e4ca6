import { IsthmusError } from '../../../errors.ts';
import { readIdentity } from '../decode.ts';
import { equals, MARK_NAME, VALUE_END } from './names.ts';

/** Gets the offset of a message and the text of its mark, `undefined` when it has none. */
export type VisitMark = (offset: number, mark: string | undefined) => void;

const SYS_FLAG_AT = 36;
const BORN_HOST_AT = 48;
const FLAG_BORN_IPV6 = 0x10;
const FLAG_STORE_IPV6 = 0x20;
const MAGIC_V1 = 0xdaa320a7;

/** Visits the messages of an answer to a pull. Bodies are not looked at: a look back is a look at marks. */
export function readMarks(body: Buffer, visit: VisitMark): void {
  let at = 0;
  while (at < body.length) {
    const { offset, end } = readIdentity(body, at);
    visit(offset, markIn(body, at, end));
    at = end;
  }
}

function markIn(body: Buffer, at: number, end: number): string | undefined {
  const sysFlag = body.readInt32BE(at + SYS_FLAG_AT);
  const hosts = 16 + ((sysFlag & FLAG_BORN_IPV6) === 0 ? 0 : 12) + ((sysFlag & FLAG_STORE_IPV6) === 0 ? 0 : 12);
  // Behind the hosts and the store time: reconsume times (4), prepared offset (8), body.
  const bodyAt = at + BORN_HOST_AT + hosts + 8 + 12 + 4;
  const bodyEnd = bodyAt + body.readInt32BE(bodyAt - 4);
  const short = body.readUInt32BE(at + 4) === MAGIC_V1;
  const topicAt = bodyEnd + (short ? 1 : 2);
  if (bodyEnd < bodyAt || topicAt > end) throw damaged(at);
  const propertiesAt = topicAt + (short ? body.readUInt8(bodyEnd) : body.readUInt16BE(bodyEnd)) + 2;
  if (propertiesAt > end) throw damaged(at);
  return findMark(body, propertiesAt, Math.min(end, propertiesAt + body.readUInt16BE(propertiesAt - 2)));
}

/** The last one, as every reader takes it. */
function findMark(body: Buffer, start: number, end: number): string | undefined {
  let mark: string | undefined;
  for (let at = start; at < end; ) {
    let valueEnd = body.indexOf(VALUE_END, at);
    if (valueEnd < 0 || valueEnd > end) valueEnd = end;
    if (valueEnd - at >= MARK_NAME.length && equals(MARK_NAME, body, at))
      mark = body.toString('utf8', at + MARK_NAME.length, valueEnd);
    at = valueEnd + 1;
  }
  return mark;
}

function damaged(at: number): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `looking for marks: the lengths of the message at ${at} do not fit into it`);
}
