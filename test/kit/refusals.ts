/**
 * Brokers whose disks are full, played by a proxy: a write gets the broker's answer and never reaches it. Disks cannot be filled in a test run, and both
 * brokers look at the share of the whole disk.
 */

/** Gets a whole frame of a client and gives the answer to it, `undefined` for what passes. Both protocols begin a frame with the number of bytes behind it. */
export type Refusal = (frame: Buffer) => Buffer | undefined;

const sendCodes: ReadonlySet<unknown> = new Set([10, 310, 320]);
const serviceNotAvailable = 14;
const headerLengthMask = 0xffffff;
const binaryHeader = 1;

/** RocketMQ's remoting protocol: length, header length with the kind of header in its first byte, header, body. */
export const rocketmqDiskFull: Refusal = (frame) => {
  const header = readHeader(frame);
  if (!sendCodes.has(header.code)) return undefined;
  const remark = "the broker's disk is full [CL:  0.97 CQ:  0.97 INDEX:  0.97], messages are put to the slave";
  const answer = { code: serviceNotAvailable, language: 'JAVA', version: 479, opaque: header.opaque, flag: 1, remark };
  const text = Buffer.from(JSON.stringify({ ...answer, serializeTypeCurrentRPC: 'JSON' }));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + text.length, 0);
  lengths.writeUInt32BE(text.length, 4);
  return Buffer.concat([lengths, text]);
};

/** A header is JSON text, or binary: code (2 bytes), language (1), version (2), opaque (4), ... */
function readHeader(frame: Buffer): { readonly code: number; readonly opaque: number } {
  if (frame[4] === binaryHeader) return { code: frame.readInt16BE(8), opaque: frame.readInt32BE(13) };
  return JSON.parse(frame.toString('utf8', 8, 8 + (frame.readUInt32BE(4) & headerLengthMask)));
}

// PulsarApi.proto: BaseCommand.Type, the fields of the commands, and ServerError.PersistenceError.
const [send, sendError, persistenceError] = [6, 8, 2];

/** Pulsar's binary protocol: length, command length, command (protobuf), payload. */
export const pulsarDiskFull: Refusal = (frame) => {
  const command = frame.subarray(8, 8 + frame.readUInt32BE(4));
  const fields = readFields(command);
  if (fields.get(1) !== send) return undefined;
  const sent = fields.get(send);
  if (!(sent instanceof Buffer)) throw new Error('a SEND without its fields');
  const [producerId, sequenceId] = [readFields(sent).get(1), readFields(sent).get(2)];
  const message = Buffer.from('Bookie handle is not available: NoWritableLedgerDirException');
  const body = Buffer.concat([
    field(1, Number(producerId)),
    field(2, Number(sequenceId)),
    field(3, persistenceError),
    Buffer.from([(4 << 3) | 2, message.length]),
    message,
  ]);
  const answer = Buffer.concat([field(1, sendError), Buffer.from([(sendError << 3) | 2, body.length]), body]);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + answer.length, 0);
  lengths.writeUInt32BE(answer.length, 4);
  return Buffer.concat([lengths, answer]);
};

/** Numbers and byte strings of a protobuf message by their field numbers, the last one of each. */
function readFields(bytes: Buffer): ReadonlyMap<number, number | Buffer> {
  const fields = new Map<number, number | Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const [tag, afterTag] = readVarint(bytes, at);
    const [value, afterValue] = readVarint(bytes, afterTag);
    const kind = tag & 7;
    if (kind !== 0 && kind !== 2) throw new Error(`a field of kind ${kind}`);
    at = kind === 0 ? afterValue : afterValue + value;
    fields.set(tag >>> 3, kind === 0 ? value : bytes.subarray(afterValue, at));
  }
  return fields;
}

function readVarint(bytes: Buffer, from: number): readonly [value: number, next: number] {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length; at++, factor *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at + 1];
  }
  throw new Error('a number without an end');
}

function field(number: number, value: number): Buffer {
  const bytes = [number << 3];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}
