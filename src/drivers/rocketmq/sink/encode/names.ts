import { ESCAPE_PREFIX, KEY_IS_BASE64, KEY_IS_NULL, ORDERING_KEY } from '../../message/pulsar-facts.ts';

/** Names of properties that a writer adds, as bytes with the separator that follows a name. */
const named = (name: string): Buffer => Buffer.from(`${name}\u0001`, 'latin1');

export const NAME_END = 1;
export const VALUE_END = 2;

export const MARK_NAME: Buffer = named('ISTHMUS');
export const UNIQUE_KEY_NAME: Buffer = named('UNIQ_KEY');
export const BORN_HOST_NAME: Buffer = named('__BORNHOST');
export const BORN_TIME_NAME: Buffer = named('BORN_TIMESTAMP');
export const TIMER_OUT_NAME: Buffer = named('TIMER_OUT_MS');
export const SHARDING_KEY_NAME: Buffer = named('__SHARDINGKEY');

/** Facts of a Pulsar record that RocketMQ has no field for. */
const fact = (name: string): Buffer => named(`${ESCAPE_PREFIX.toString()}${name}`);
export const ORDERING_KEY_NAME: Buffer = fact(ORDERING_KEY);
export const KEY_IS_BASE64_TRUE: Buffer = Buffer.concat([fact(KEY_IS_BASE64), Buffer.from('true\u0002', 'latin1')]);
export const KEY_IS_NULL_TRUE: Buffer = Buffer.concat([fact(KEY_IS_NULL), Buffer.from('true\u0002', 'latin1')]);
export const PRODUCER_NAME: Buffer = fact('PRODUCER');
export const SEQUENCE_NAME: Buffer = fact('SEQUENCE');
export const SCHEMA_VERSION_NAME: Buffer = fact('SCHEMA_VERSION');

/** A fact that the RocketMQ source tells as a property, and that is a field again when the record comes back. */
export const FLAG_FACT = 'ROCKETMQ_FLAG';

/** What the properties of a record hold already; bits. */
export const Seen = {
  uniqueKey: 1,
  bornHost: 2,
  bornTime: 4,
  timer: 8,
  shardingKey: 16,
  producer: 32,
  sequence: 64,
  schemaVersion: 128,
} as const;

const WATCHED: readonly (readonly (readonly [name: Buffer, bit: number])[] | undefined)[] = byLength([
  ['UNIQ_KEY', Seen.uniqueKey],
  ['__BORNHOST', Seen.bornHost],
  ['BORN_TIMESTAMP', Seen.bornTime],
  ['TIMER_DELIVER_MS', Seen.timer],
  ['TIMER_DELAY_SEC', Seen.timer],
  ['TIMER_DELAY_MS', Seen.timer],
  ['__SHARDINGKEY', Seen.shardingKey],
  ['PULSAR_PRODUCER', Seen.producer],
  ['PULSAR_SEQUENCE', Seen.sequence],
  ['PULSAR_SCHEMA_VERSION', Seen.schemaVersion],
]);

function byLength(names: readonly (readonly [name: string, bit: number])[]): (readonly [name: Buffer, bit: number])[][] {
  const table: (readonly [Buffer, number])[][] = [];
  for (const [name, bit] of names) (table[name.length] ??= []).push([Buffer.from(name, 'latin1'), bit]);
  return table;
}

/** The bit of `Seen` for the name in `bytes` from `start` on, 0 for any other. */
export function seenBit(bytes: Buffer, start: number, length: number): number {
  const candidates = WATCHED[length];
  if (candidates === undefined) return 0;
  for (const [name, bit] of candidates) if (equals(name, bytes, start)) return bit;
  return 0;
}

/** Whether the bytes from `start` on are these. */
export function equals(wanted: Buffer, bytes: Buffer, start: number): boolean {
  for (let k = 0; k < wanted.length; k++) if (bytes[start + k] !== wanted[k]) return false;
  return true;
}
