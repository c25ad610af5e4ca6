import { IsthmusError } from '../../../errors.ts';

/**
 * Frames of the remoting protocol, big endian (RemotingCommand, RocketMQSerializable):
 *
 *   int32 length     of all that follows; the socket kit has cut it off already when a frame is decoded
 *   int32 mark       header encoding << 24 | header length
 *   header           JSON text or the binary form below
 *   body             the rest
 *
 * Binary header: int16 code, int8 language, int16 version, int32 opaque, int32 flag, int32 remark length, remark,
 * int32 fields length, then { int16 name length, name, int32 value length, value } for that many bytes.
 */
export type Field = readonly [name: string, value: string];

export interface Request {
  readonly code: number;
  readonly fields: readonly Field[];
  readonly body?: Buffer;
}

/** A frame from the peer: an answer to a request of ours, or a request of its own. */
export interface Command {
  readonly code: number;
  /** Pairs an answer with its request, per connection. */
  readonly opaque: number;
  readonly flag: number;
  /** The peer's MQVersion ordinal (V5_5_0 = 513). */
  readonly version: number;
  readonly remark: string;
  readonly fields: Readonly<Record<string, string>>;
  /** A view into the frame. */
  readonly body: Buffer;
}

export const FLAG_ANSWER = 1;
export const FLAG_ONEWAY = 2;

const JSON_HEADER = 0;
const BINARY_HEADER = 1;
/** LanguageCode OTHER: brokers before 5.3.3 do not know NODE_JS. */
const LANGUAGE_OTHER = 7;
/** V5_0_0: new enough for strict JSON routes, old enough that a broker which stops closes the connection instead of sending GO_AWAY. */
const VERSION = 413;
const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 0xffffff;
const NO_FIELDS: Readonly<Record<string, string>> = Object.freeze({});

function frame(encoding: number, header: Buffer, body: Buffer | undefined): Buffer {
  if (header.length > MAX_HEADER_BYTES)
    throw new IsthmusError('INVALID_REQUEST', `encoding a request: its header has ${header.length} bytes`);
  const bodyBytes = body?.length ?? 0;
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + header.length + bodyBytes);
  bytes.writeInt32BE(4 + header.length + bodyBytes, 0);
  bytes.writeInt32BE(encoding * 0x1000000 + header.length, 4);
  header.copy(bytes, PREFIX_BYTES);
  body?.copy(bytes, PREFIX_BYTES + header.length);
  return bytes;
}

/** A request (or, with FLAG_ANSWER, an answer) with a JSON header, which every broker and every request code takes. */
export function encodeJson(request: Request, opaque: number, flag = 0): Buffer {
  const header = {
    code: request.code,
    extFields: Object.fromEntries(request.fields),
    flag,
    language: 'OTHER',
    opaque,
    serializeTypeCurrentRPC: 'JSON',
    version: VERSION,
  };
  return frame(JSON_HEADER, Buffer.from(JSON.stringify(header)), request.body);
}

/** The same with a binary header: cheaper on both sides, but it cannot carry an empty value or a code above 32767. */
export function encodeBinary(request: Request, opaque: number): Buffer {
  return frame(BINARY_HEADER, binaryHeader(request, opaque), request.body);
}

/** A frame up to its body of so many bytes, which follows in pieces that nobody has to put together. */
export function encodeHead(request: Request, bodyBytes: number, opaque: number): Buffer {
  const bytes = frame(BINARY_HEADER, binaryHeader(request, opaque), undefined);
  bytes.writeInt32BE(bytes.length - 4 + bodyBytes, 0);
  return bytes;
}

function binaryHeader(request: Request, opaque: number): Buffer {
  let fieldsBytes = 0;
  for (const [name, value] of request.fields) fieldsBytes += 6 + Buffer.byteLength(name) + Buffer.byteLength(value);
  const header = Buffer.allocUnsafe(21 + fieldsBytes);
  header.writeInt16BE(request.code, 0);
  header.writeInt8(LANGUAGE_OTHER, 2);
  header.writeInt16BE(VERSION, 3);
  header.writeInt32BE(opaque, 5);
  header.writeInt32BE(0, 9);
  header.writeInt32BE(0, 13);
  header.writeInt32BE(fieldsBytes, 17);
  let at = 21;
  for (const [name, value] of request.fields) {
    const nameBytes = header.write(name, at + 2);
    at = header.writeInt16BE(nameBytes, at) + nameBytes;
    const valueBytes = header.write(value, at + 4);
    at = header.writeInt32BE(valueBytes, at) + valueBytes;
  }
  return header;
}

function violation(what: string, cause?: unknown): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `decoding a frame: ${what}`, cause === undefined ? undefined : { cause });
}

/** Reads a frame in either header encoding; the peer chooses its own. Throws PROTOCOL_VIOLATION. */
export function decodeCommand(bytes: Buffer): Command {
  if (bytes.length < 4) throw violation(`it has only ${bytes.length} bytes`);
  const mark = bytes.readUInt32BE(0);
  const headerEnd = 4 + (mark & MAX_HEADER_BYTES);
  if (headerEnd > bytes.length) throw violation(`its header claims ${headerEnd - 4} of ${bytes.length - 4} bytes`);
  const encoding = mark >>> 24;
  if (encoding === JSON_HEADER) return decodeJson(bytes, headerEnd);
  if (encoding === BINARY_HEADER) return decodeBinary(bytes, headerEnd);
  throw violation(`header encoding ${encoding} is unknown`);
}

function integer(header: object, name: string): number {
  const value: unknown = Reflect.get(header, name) ?? 0;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw violation(`${name} is not a number`);
  return value;
}

function decodeJson(bytes: Buffer, headerEnd: number): Command {
  let header: unknown;
  try {
    header = JSON.parse(bytes.toString('utf8', 4, headerEnd));
  } catch (cause) {
    throw violation('its header is not JSON', cause);
  }
  if (typeof header !== 'object' || header === null) throw violation('its header is not an object');
  const remark: unknown = Reflect.get(header, 'remark');
  return {
    code: integer(header, 'code'),
    opaque: integer(header, 'opaque'),
    flag: integer(header, 'flag'),
    version: integer(header, 'version'),
    remark: typeof remark === 'string' ? remark : '',
    fields: textFields(Reflect.get(header, 'extFields')),
    body: bytes.subarray(headerEnd),
  };
}

/** Values are texts, but some peers write bare numbers and truth values. */
function textFields(fields: unknown): Readonly<Record<string, string>> {
  if (typeof fields !== 'object' || fields === null) return NO_FIELDS;
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') texts[name] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') texts[name] = String(value);
  }
  return texts;
}

function decodeBinary(bytes: Buffer, headerEnd: number): Command {
  if (headerEnd < 25) throw violation(`a binary header cannot have ${headerEnd - 4} bytes`);
  const remarkEnd = 21 + bytes.readUInt32BE(17);
  if (remarkEnd + 4 > headerEnd) throw violation('its remark is longer than its header');
  const fieldsEnd = remarkEnd + 4 + bytes.readUInt32BE(remarkEnd);
  if (fieldsEnd > headerEnd) throw violation('its fields are longer than its header');
  return {
    code: bytes.readInt16BE(4),
    opaque: bytes.readInt32BE(9),
    flag: bytes.readInt32BE(13),
    version: bytes.readInt16BE(7),
    remark: bytes.toString('utf8', 21, remarkEnd),
    fields: binaryFields(bytes, remarkEnd + 4, fieldsEnd),
    body: bytes.subarray(headerEnd),
  };
}

function binaryFields(bytes: Buffer, from: number, end: number): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  let at = from;
  while (at < end) {
    const nameEnd = at + 2 + (at + 2 <= end ? bytes.readUInt16BE(at) : 0);
    if (nameEnd + 4 > end) throw violation('a field name is cut off');
    const valueEnd = nameEnd + 4 + bytes.readUInt32BE(nameEnd);
    if (valueEnd > end) throw violation('a field value is cut off');
    fields[bytes.toString('utf8', at + 2, nameEnd)] = bytes.toString('utf8', nameEnd + 4, valueEnd);
    at = valueEnd;
  }
  return fields;
}

/** A number field of an answer. Throws PROTOCOL_VIOLATION when it is missing or none. */
export function numberField(answer: Command, name: string): number {
  const value = answer.fields[name];
  const number = Number(value);
  if (value === undefined || value === '' || !Number.isSafeInteger(number))
    throw violation(`the answer's field ${name} is "${value?.slice(0, 40) ?? ''}", not a number`);
  return number;
}
