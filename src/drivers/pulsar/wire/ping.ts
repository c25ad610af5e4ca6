import { COMMAND, commandFrame } from './command.ts';
import { ProtoWriter } from './protobuf.ts';

/** PING (18) and PONG (19) have no fields; each side sends the first and answers with the second. */
export const PING: Buffer = commandFrame(COMMAND.ping, new ProtoWriter(0));
export const PONG: Buffer = commandFrame(COMMAND.pong, new ProtoWriter(0));
