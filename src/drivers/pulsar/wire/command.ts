import { IsthmusError } from '../../../errors.ts';
import { ProtoReader, ProtoWriter } from './protobuf.ts';

/** Numbers of the commands that Isthmus speaks. In BaseCommand the field that holds a command has the command's number. */
export const COMMAND = {
  connect: 2,
  connected: 3,
  subscribe: 4,
  producer: 5,
  send: 6,
  sendReceipt: 7,
  sendError: 8,
  message: 9,
  ack: 10,
  flow: 11,
  success: 13,
  error: 14,
  closeProducer: 15,
  closeConsumer: 16,
  producerSuccess: 17,
  ping: 18,
  pong: 19,
  partitionedMetadata: 21,
  partitionedMetadataResponse: 22,
  lookup: 23,
  lookupResponse: 24,
  seek: 28,
  getLastMessageId: 29,
  getLastMessageIdResponse: 30,
  activeConsumerChange: 31,
  getSchema: 34,
  getSchemaResponse: 35,
  authChallenge: 36,
  authResponse: 37,
  ackResponse: 38,
  getOrCreateSchema: 39,
  getOrCreateSchemaResponse: 40,
} as const;

const TYPE_FIELD = 1;
const LENGTH_BYTES = 4;
const NOTHING = Buffer.alloc(0);

/** The bytes of a BaseCommand. */
export function encodeCommand(type: number, body: ProtoWriter): Buffer {
  return new ProtoWriter(16 + body.finish().length).int(TYPE_FIELD, type).message(type, body).finish();
}

/** A frame of a command without a payload: `[totalSize][commandSize][BaseCommand]`. */
export function commandFrame(type: number, body: ProtoWriter): Buffer {
  const command = encodeCommand(type, body);
  const frame = Buffer.allocUnsafe(2 * LENGTH_BYTES + command.length);
  frame.writeUInt32BE(LENGTH_BYTES + command.length, 0);
  frame.writeUInt32BE(command.length, LENGTH_BYTES);
  command.copy(frame, 2 * LENGTH_BYTES);
  return frame;
}

/** Takes frames apart, one after the other: what it says of a frame is good until the next. An object for each frame would be most of what a receipt costs. */
export class FrameReader {
  readonly #reader = new ProtoReader(NOTHING);
  type = 0;
  /** The command's own fields. */
  readonly body: ProtoReader = new ProtoReader(NOTHING);
  /** Where headers and payload of a MESSAGE begin; the end of the frame otherwise. */
  restStart = 0;

  /** Reads a frame without its length. Throws PROTOCOL_VIOLATION. */
  read(frame: Buffer): void {
    if (frame.length < LENGTH_BYTES)
      throw new IsthmusError('PROTOCOL_VIOLATION', `reading a frame: ${frame.length} bytes are too few`);
    const commandEnd = LENGTH_BYTES + frame.readUInt32BE(0);
    if (commandEnd > frame.length)
      throw new IsthmusError('PROTOCOL_VIOLATION', 'reading a frame: the command reaches past the end');
    const reader = this.#reader;
    reader.reset(frame, LENGTH_BYTES, commandEnd);
    this.type = 0;
    this.restStart = commandEnd;
    this.body.reset(frame, 0, 0);
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === TYPE_FIELD) this.type = reader.int();
      else if (field === this.type) {
        reader.span();
        this.body.reset(frame, reader.spanStart, reader.spanEnd);
      } else reader.skip();
    }
  }
}

/** Visits the fields of a message; those that `visit` does not take (returns false) are skipped. */
export function readFields(reader: ProtoReader, visit: (field: number, reader: ProtoReader) => boolean): void {
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (!visit(field, reader)) reader.skip();
  }
}
