import { RequestCode } from '../../../../../src/drivers/rocketmq/wire/codes.ts';
import type { Command } from '../../../../../src/drivers/rocketmq/wire/command.ts';
import { FakeBroker, type Reply } from '../fake-broker.ts';

/** What becomes of a send: how many of its messages are stored (default: all), and what is answered (default: success). */
export interface Fate {
  readonly store?: number;
  readonly answer?: Reply | 'silence' | 'disconnect';
  /** Gets what stores the messages, instead of their being stored at once: the broker holds the send somewhere. */
  readonly hold?: (store: () => void) => void;
}

interface Inner {
  readonly flag: number;
  readonly body: Buffer;
  readonly properties: string;
}

/** The fake broker's queue as one that can be written, with the fate of each send as a test wants it. */
export class FakeQueue {
  readonly broker: FakeBroker = new FakeBroker();
  /** Decides about each send, in order; where it gives nothing the send is stored. */
  fate: ((sent: number) => Fate | undefined) | undefined;
  /** Messages of each send, as they came. */
  readonly sends: number[] = [];
  readonly sysFlags: number[] = [];
  readonly headers: Readonly<Record<string, string>>[] = [];
  probes = 0;
  /** Answers to a probe; default: refused, as a broker does. */
  probe: Reply = { code: 29 };
  /** Sends that wait for their answer. */
  underWay = 0;
  mostUnderWay = 0;
  settings = 'maxMessageSize=4194304\n';
  permission = 6;

  constructor() {
    this.broker.intercept = (command) => this.#answer(command);
  }

  async start(): Promise<this> {
    await this.broker.start();
    return this;
  }

  get bodies(): string[] {
    return this.broker.messages.map(({ body }) => Buffer.from(body ?? '').toString());
  }

  #answer(command: Command): Reply | 'silence' | undefined {
    const { maxOffset, minOffset, address } = this.broker;
    switch (command.code) {
      case RequestCode.GET_ROUTEINFO_BY_TOPIC: {
        const brokerDatas = [{ brokerName: 'b1', cluster: 'c1', brokerAddrs: this.broker.addresses ?? { 0: address } }];
        const queueDatas = [{ brokerName: 'b1', readQueueNums: 1, writeQueueNums: 1, perm: this.permission }];
        return { code: 0, body: Buffer.from(JSON.stringify({ brokerDatas, queueDatas })) };
      }
      case RequestCode.GET_BROKER_CONFIG:
        return { code: 0, body: Buffer.from(this.settings) };
      case RequestCode.GET_BROKER_RUNTIME_INFO:
        return { code: 0, body: Buffer.from('{"table":{"commitLogMaxOffset":"1000","dispatchBehindBytes":"0"}}') };
      case RequestCode.GET_MAX_OFFSET:
        return { code: 0, fields: [['offset', String(maxOffset)]] };
      case RequestCode.GET_MIN_OFFSET:
        return { code: 0, fields: [['offset', String(minOffset)]] };
      case RequestCode.SEND_BATCH_MESSAGE:
      case RequestCode.SEND_MESSAGE_V2:
        if (command.fields['e'] === String(0x7fffffff)) {
          this.probes++;
          return this.probe;
        }
        return this.#send(command);
      default:
        return undefined;
    }
  }

  #send(command: Command): Reply | 'silence' {
    const { fields } = command;
    const inner =
      fields['m'] === 'true'
        ? takeApart(command.body)
        : [{ flag: Number(fields['h']), body: command.body, properties: fields['i'] ?? '' }];
    const fate = this.fate?.(this.sends.length) ?? {};
    this.sends.push(inner.length);
    this.sysFlags.push(Number(fields['f']));
    this.headers.push(fields);
    const offset = this.broker.maxOffset;
    const kept = inner.slice(0, fate.store ?? inner.length).map((each) => ({ ...each, body: Buffer.from(each.body) }));
    const store = (): void => {
      for (const { flag, body, properties } of kept)
        this.broker.messages.push({ offset: this.broker.maxOffset, flag, body, properties, bornTime: Number(fields['g']) });
    };
    (fate.hold ?? ((run) => run()))(store);
    if (fate.answer === 'disconnect') {
      this.broker.disconnectAll();
      return 'silence';
    }
    return fate.answer ?? { code: 0, fields: [['queueOffset', String(offset)]] };
  }
}

function takeApart(body: Buffer): Inner[] {
  const inner: Inner[] = [];
  for (let at = 0; at < body.length; ) {
    const bodyEnd = at + 20 + body.readInt32BE(at + 16);
    const end = at + body.readInt32BE(at);
    inner.push({
      flag: body.readInt32BE(at + 12),
      body: body.subarray(at + 20, bodyEnd),
      properties: body.toString('utf8', bodyEnd + 2, end),
    });
    at = end;
  }
  return inner;
}
