/** Stores a message with any flag bits, as no official client would send it but clients of other languages and gRPC proxies do. */

import { once } from 'node:events';
import { connect } from 'node:net';

export type RawMessage = {
  readonly topic: string;
  readonly queue: number;
  readonly body: Buffer;
  /** MessageSysFlag; 1: the body is compressed. */
  readonly sysFlag?: number;
  readonly reconsumeTimes?: number;
  readonly properties?: Readonly<Record<string, string>>;
};

const sendMessageV2 = 310;
const updateBrokerConfig = 25;

/** Sends one message (SEND_MESSAGE_V2 with a JSON header) to a broker, host:port. Throws what the broker answers, unless it is success. */
export async function sendRaw(broker: string, message: RawMessage): Promise<void> {
  const properties = Object.entries(message.properties ?? {}).map(([name, value]) => `${name}\u0001${value}\u0002`);
  const extFields = {
    a: 'raw-producer',
    b: message.topic,
    c: 'TBW102',
    d: '4',
    e: String(message.queue),
    f: String(message.sysFlag ?? 0),
    g: String(Date.now()),
    h: '0',
    i: properties.join(''),
    j: String(message.reconsumeTimes ?? 0),
    k: 'false',
    m: 'false',
  };
  await ask(broker, sendMessageV2, extFields, message.body);
}

/** Changes settings of a running broker, each as it stands in its file (`maxMessageSize=65536`). Throws what the broker answers, unless it is success. */
export async function setBrokerSetting(broker: string, ...settings: readonly string[]): Promise<void> {
  await ask(broker, updateBrokerConfig, {}, Buffer.from(`${settings.join('\n')}\n`));
}

async function ask(broker: string, code: number, extFields: Readonly<Record<string, string>>, body: Buffer): Promise<void> {
  const header = Buffer.from(JSON.stringify({ code, language: 'OTHER', version: 413, opaque: 1, flag: 0, extFields }));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length + body.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  const [host, port] = broker.split(':');
  const socket = connect(Number(port), host);
  try {
    socket.write(Buffer.concat([lengths, header, body]));
    const answer = await readAnswer(socket);
    if (answer.code !== 0) throw new Error(`the broker answered ${answer.code}: ${answer.remark}`);
  } finally {
    socket.destroy();
  }
}

async function readAnswer(socket: ReturnType<typeof connect>): Promise<{ readonly code: number; readonly remark?: string }> {
  let received = Buffer.alloc(0);
  while (received.length < 8 || received.length < 4 + received.readUInt32BE(0)) {
    const [chunk] = await once(socket, 'data');
    received = Buffer.concat([received, chunk]);
  }
  return JSON.parse(received.toString('utf8', 8, 8 + (received.readUInt32BE(4) & 0xffffff)));
}
