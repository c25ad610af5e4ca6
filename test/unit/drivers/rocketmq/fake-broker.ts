import net from 'node:net';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import {
  type Command,
  decodeCommand,
  encodeJson,
  type Field,
  FLAG_ANSWER,
} from '../../../../src/drivers/rocketmq/wire/command.ts';
import { FrameSplitter } from '../../../../src/wire/frame-splitter.ts';
import { type StoredMessage, storedMessage } from './stored-message.ts';

export interface Reply {
  readonly code: number;
  readonly remark?: string;
  readonly fields?: readonly Field[];
  readonly body?: Buffer;
}

export interface PullSeen {
  readonly offset: number;
  readonly maxMessages: number;
  readonly held: boolean;
}

interface HeldPull {
  readonly socket: net.Socket;
  readonly command: Command;
}

/**
 * A peer that speaks just enough of the protocol to misbehave on purpose: what a real broker does only in a failover, or never, is set up
 * here in a line. One queue (`b1:0`) of topic `T1`, name server and broker on one port. What real brokers do is tested on real brokers.
 */
export class FakeBroker {
  readonly pulls: PullSeen[] = [];
  readonly commits: number[] = [];
  /** The queue: place in the list is not the offset, `minOffset` is that of the first. */
  messages: StoredMessage[] = [];
  minOffset = 0;
  maxPerPull = 32;
  /** Answers each pull only after this time. */
  delayMillis = 0;
  addresses: Record<string, string> | undefined;
  groupExists = true;
  /** Answers instead of the broker where it returns something; `'silence'` = never answers. */
  intercept: ((command: Command) => Reply | 'silence' | undefined) | undefined;
  /** Takes over when the answers to other requests than pulls are sent. */
  reorder: ((send: () => void) => void) | undefined;
  /** Requests that wait for their answer, held pulls not counted. */
  underWay = 0;
  /** The most requests that waited for their answer at one time. */
  mostUnderWay = 0;
  /** Answers to requests that this side has made. */
  readonly answersSeen: Command[] = [];
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #held: HeldPull[] = [];

  constructor() {
    this.#server = net.createServer((socket) => this.#onConnection(socket));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get address(): string {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : '';
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get maxOffset(): number {
    return this.minOffset + this.messages.length;
  }

  /** Appends `count` messages and wakes held pulls, as a broker does. */
  produce(count: number, make: (offset: number) => Partial<StoredMessage> = () => ({})): void {
    for (let i = 0; i < count; i++) {
      const offset = this.maxOffset;
      this.messages.push({ body: `m${offset}`, ...make(offset), offset });
    }
    const woken = this.#held;
    this.#held = [];
    for (const { socket, command } of woken) this.#answer(socket, command, this.#pull(command));
  }

  /** Drops the oldest messages, as retention does. */
  expire(count: number): void {
    const gone = this.messages.splice(0, count).length;
    this.minOffset += gone;
  }

  disconnectAll(): void {
    this.#held = [];
    for (const socket of this.#sockets) socket.destroy();
  }

  /** While it does not, what is sent to it stays in the buffers of both ends. */
  reads(reads: boolean): void {
    for (const socket of this.#sockets) {
      if (reads) socket.resume();
      else socket.pause();
    }
  }

  /** Answers held pulls with "nothing new". */
  releaseHeld(): void {
    const woken = this.#held;
    this.#held = [];
    for (const { socket, command } of woken)
      this.#answer(socket, command, this.#offsets(ResponseCode.PULL_NOT_FOUND, 'OFFSET_OVERFLOW_ONE', this.maxOffset));
  }

  async close(): Promise<void> {
    this.disconnectAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #onConnection(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const splitter = new FrameSplitter(1 << 24, (frame) => this.#onFrame(socket, frame));
    socket.on('data', (chunk) => splitter.push(chunk));
  }

  #onFrame(socket: net.Socket, frame: Buffer): void {
    const command = decodeCommand(frame);
    if ((command.flag & FLAG_ANSWER) !== 0) {
      this.answersSeen.push(command);
      return;
    }
    if (command.code === RequestCode.PULL_MESSAGE) this.#notePull(command);
    const reply = this.intercept?.(command) ?? this.#reply(socket, command);
    if (reply === 'silence') return;
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    const answer = (): void => {
      this.underWay--;
      this.#answer(socket, command, reply);
    };
    if (this.delayMillis > 0 && command.code === RequestCode.PULL_MESSAGE) setTimeout(answer, this.delayMillis);
    else if (this.reorder !== undefined && command.code !== RequestCode.PULL_MESSAGE) this.reorder(answer);
    else answer();
  }

  /** Sends any bytes to all who are connected. */
  say(bytes: Buffer): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  #notePull(command: Command): void {
    const { queueOffset, maxMsgNums, sysFlag } = command.fields;
    this.pulls.push({ offset: Number(queueOffset), maxMessages: Number(maxMsgNums), held: (Number(sysFlag) & 2) !== 0 });
  }

  #answer(socket: net.Socket, command: Command, reply: Reply | 'silence'): void {
    if (reply === 'silence' || socket.destroyed) return;
    const request = { code: reply.code, fields: reply.fields ?? [], ...(reply.body === undefined ? {} : { body: reply.body }) };
    socket.write(withRemark(encodeJson(request, command.opaque, FLAG_ANSWER), reply.remark));
  }

  #reply(socket: net.Socket, command: Command): Reply | 'silence' {
    switch (command.code) {
      case RequestCode.GET_ROUTEINFO_BY_TOPIC:
        return { code: 0, body: this.#route() };
      case RequestCode.PULL_MESSAGE: {
        const pull = this.#pull(command);
        const holds = (Number(command.fields['sysFlag']) & 2) !== 0 && pull.code === ResponseCode.PULL_NOT_FOUND;
        if (holds) this.#held.push({ socket, command });
        return holds ? 'silence' : pull;
      }
      case RequestCode.UPDATE_CONSUMER_OFFSET:
        if (!this.groupExists) return { code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST };
        this.commits.push(Number(command.fields['commitOffset']));
        return { code: 0 };
      case RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP:
        this.groupExists = true;
        return { code: 0 };
      default:
        return { code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED };
    }
  }

  #route(): Buffer {
    const brokerDatas = [{ brokerName: 'b1', cluster: 'c1', brokerAddrs: this.addresses ?? { 0: this.address } }];
    const queueDatas = [{ brokerName: 'b1', readQueueNums: 1, writeQueueNums: 1, perm: 6 }];
    return Buffer.from(JSON.stringify({ brokerDatas, queueDatas }));
  }

  #offsets(code: number, remark: string, next: number, body?: Buffer): Reply {
    const fields: Field[] = [
      ['nextBeginOffset', String(next)],
      ['minOffset', String(this.minOffset)],
      ['maxOffset', String(this.maxOffset)],
    ];
    return { code, remark, fields, ...(body === undefined ? {} : { body }) };
  }

  /** As DefaultMessageStore.getMessage decides. */
  #pull(command: Command): Reply {
    const offset = Number(command.fields['queueOffset']);
    if (this.maxOffset === 0) {
      if (offset === 0) return this.#offsets(ResponseCode.PULL_NOT_FOUND, 'NO_MESSAGE_IN_QUEUE', 0);
      return this.#offsets(ResponseCode.PULL_OFFSET_MOVED, 'NO_MESSAGE_IN_QUEUE', 0);
    }
    if (offset < this.minOffset) return this.#offsets(ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_TOO_SMALL', this.minOffset);
    if (offset === this.maxOffset) return this.#offsets(ResponseCode.PULL_NOT_FOUND, 'OFFSET_OVERFLOW_ONE', offset);
    if (offset > this.maxOffset) return this.#offsets(ResponseCode.PULL_OFFSET_MOVED, 'OFFSET_OVERFLOW_BADLY', this.maxOffset);
    const at = offset - this.minOffset;
    const count = Math.min(Number(command.fields['maxMsgNums']), this.maxPerPull, this.messages.length - at);
    const body = Buffer.concat(this.messages.slice(at, at + count).map(storedMessage));
    return this.#offsets(ResponseCode.SUCCESS, 'FOUND', offset + count, body);
  }
}

/** Our own encoder has no use for remarks, so the fake adds them to the finished header. */
function withRemark(frame: Buffer, remark: string | undefined): Buffer {
  if (remark === undefined) return frame;
  const headerEnd = 8 + (frame.readUInt32BE(4) & 0xffffff);
  const header = Buffer.from(JSON.stringify({ ...JSON.parse(frame.toString('utf8', 8, headerEnd)), remark }));
  const prefix = Buffer.alloc(8);
  prefix.writeInt32BE(4 + header.length + frame.length - headerEnd, 0);
  prefix.writeInt32BE(header.length, 4);
  return Buffer.concat([prefix, header, frame.subarray(headerEnd)]);
}
