import { IsthmusError } from '../../../errors.ts';

const SYS_FLAG_AT = 36;
const BORN_HOST_AT = 48;
const FLAG_BORN_IPV6 = 0x10;
const FLAG_STORE_IPV6 = 0x20;
const MAGIC_V1 = 0xdaa320a7;
const VALUE_END = 2;

/**
 * The value of one property of the stored message at [at, end), `undefined` when it has none; the last one, as every reader takes it. `name` is followed by the separator 0x01. Nothing else of the
 * message is looked at. Throws PROTOCOL_VIOLATION.
 */
export function storedProperty(body: Buffer, at: number, end: number, name: Buffer): string | undefined {
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
  return find(body, propertiesAt, Math.min(end, propertiesAt + body.readUInt16BE(propertiesAt - 2)), name);
}

function find(body: Buffer, start: number, end: number, name: Buffer): string | undefined {
  let value: string | undefined;
  for (let at = start; at < end; ) {
    let valueEnd = body.indexOf(VALUE_END, at);
    if (valueEnd < 0 || valueEnd > end) valueEnd = end;
    if (valueEnd - at >= name.length && body.compare(name, 0, name.length, at, at + name.length) === 0)
      value = body.toString('utf8', at + name.length, valueEnd);
    at = valueEnd + 1;
  }
  return value;
}

function damaged(at: number): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `reading a stored message: the lengths of the one at ${at} do not fit into it`);
}
