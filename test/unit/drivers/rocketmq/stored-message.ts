/** Builds what a broker stores, field by field, so that tests can also build what it never would. */
export interface StoredMessage {
  readonly offset: number;
  readonly body?: Buffer | string;
  /** Raw, or name and value pairs. */
  readonly properties?: string | Readonly<Record<string, string>>;
  readonly flag?: number;
  readonly sysFlag?: number;
  readonly commitLogOffset?: number;
  readonly bornTime?: number;
  readonly storeTime?: number;
  readonly reconsumeTimes?: number;
  readonly topic?: string;
  /** The newer format, with a topic length of two bytes. */
  readonly longTopic?: boolean;
}

export const BORN = 1_700_000_000_000;
export const STORED = 1_700_000_000_500;
const BORN_IPV6 = 0x10;
const STORE_IPV6 = 0x20;

export function propertyText(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}\u0001${value}\u0002`)
    .join('');
}

function textOf(properties: StoredMessage['properties']): Buffer {
  return Buffer.from(typeof properties === 'string' ? properties : propertyText(properties ?? {}));
}

function int(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeInt32BE(value | 0, i * 4));
  return bytes;
}

function long(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function storedMessage(message: StoredMessage): Buffer {
  const sysFlag = message.sysFlag ?? 0;
  const body = Buffer.from(message.body ?? '');
  const topic = Buffer.from(message.topic ?? 'T1');
  const properties = textOf(message.properties);
  const host = (bit: number): Buffer => Buffer.alloc((sysFlag & bit) === 0 ? 8 : 20, 7);
  const rest = Buffer.concat([
    int(message.longTopic === true ? 0xdaa320ab : 0xdaa320a7, 0, 3, message.flag ?? 0),
    long(message.offset),
    long(message.commitLogOffset ?? message.offset * 1000),
    int(sysFlag),
    long(message.bornTime ?? BORN),
    host(BORN_IPV6),
    long(message.storeTime ?? STORED),
    host(STORE_IPV6),
    int(message.reconsumeTimes ?? 0),
    long(0),
    int(body.length),
    body,
    message.longTopic === true ? short(topic.length) : Buffer.from([topic.length]),
    topic,
    short(properties.length),
    properties,
  ]);
  return Buffer.concat([int(rest.length + 4), rest]);
}

/** One message of a batch body. */
export function batchItem(body: Buffer | string, properties: StoredMessage['properties'] = {}, flag = 0): Buffer {
  const bytes = Buffer.from(body);
  const text = textOf(properties);
  return Buffer.concat([int(22 + bytes.length + text.length, 0, 0, flag, bytes.length), bytes, short(text.length), text]);
}
