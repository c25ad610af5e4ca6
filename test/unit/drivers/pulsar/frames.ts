import { FrameReader } from '../../../../src/drivers/pulsar/wire/command.ts';
import type { ProtoReader } from '../../../../src/drivers/pulsar/wire/protobuf.ts';

/** A frame taken apart, to be kept: `FrameReader` has one at a time. */
export interface IncomingCommand {
  readonly type: number;
  readonly body: ProtoReader;
  readonly rest: Buffer;
}

export function decodeFrame(frame: Buffer): IncomingCommand {
  const reader = new FrameReader();
  reader.read(frame);
  return { type: reader.type, body: reader.body, rest: frame.subarray(reader.restStart) };
}
