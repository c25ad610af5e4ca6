/**
 * What becomes of the properties that RocketMQ itself uses. Every other property is the application's and passes untouched.
 *
 * The rule: what the producer said about its message stays; how the source's brokers and clients handled it goes, because
 * elsewhere it would be wrong (another cluster's name, a transaction that is over) or could set something off again
 * (a half message, a retry). Names as in RocketMQ's MessageConst.
 */
export type PropertyRole = 'sharding-key' | 'keys' | 'tags' | 'provenance' | 'born-time' | 'brought-from' | 'kept' | 'dropped';

export interface PropertyRule {
  readonly name: string;
  readonly role: PropertyRole;
  readonly why: string;
}

const rule = (role: PropertyRole, why: string, ...names: readonly string[]): PropertyRule[] =>
  names.map((name) => ({ name, role, why }));

export const PROPERTY_RULES: readonly PropertyRule[] = [
  ...rule('sharding-key', 'order key (FIFO message group): becomes the key, and stays readable as a property', '__SHARDINGKEY'),
  ...rule('keys', 'index keys: the first one becomes the key where there is no sharding key; stays as a property', 'KEYS'),
  ...rule('tags', 'filter tag: filters see it; stays as a property', 'TAGS'),
  ...rule('provenance', 'our own mark: read by the loop cut and written anew', 'ISTHMUS'),
  ...rule(
    'brought-from',
    'clusters from which rocketmq-replicator has brought the message: the loop cut goes by it; kept, with the prefix that its runtime adds, too',
    'REPLICATOR-BORN-SOURCE',
    'connect-ext-REPLICATOR-BORN-SOURCE',
  ),
  ...rule('kept', 'the client message id, by which both copies can be found', 'UNIQ_KEY'),
  ...rule('kept', 'where a producer behind a proxy made the message', '__BORNHOST'),
  ...rule('born-time', 'when a producer behind a proxy made the message; kept', 'BORN_TIMESTAMP'),
  ...rule(
    'kept',
    'the delay that the producer asked for: it has passed, and Pulsar does not act on it',
    'DELAY',
    'TIMER_DELIVER_MS',
    'TIMER_DELAY_SEC',
    'TIMER_DELAY_MS',
  ),
  ...rule(
    'kept',
    'request and reply belong together by these; a reply itself cannot cross',
    'CORRELATION_ID',
    'REPLY_TO_CLIENT',
    'TTL',
    'MSG_TYPE',
  ),
  ...rule('kept', 'the priority or lite topic that the producer chose', '_SYS_MSG_PRIORITY_', '__LITE_TOPIC'),
  ...rule(
    'kept',
    'where a retried or dead message comes from; only in retry and dead-letter topics',
    'RETRY_TOPIC',
    'ORIGIN_MESSAGE_ID',
    'DLQ_ORIGIN_TOPIC',
    'DLQ_ORIGIN_MESSAGE_ID',
  ),
  ...rule('dropped', 'how long the producer waited for its broker', 'WAIT'),
  ...rule('dropped', 'set by the source broker about itself', 'CLUSTER', 'MSG_REGION', 'TRACE_ON'),
  ...rule(
    'dropped',
    'the transaction is over; TRAN_MSG would make a copy invisible again',
    'TRAN_MSG',
    'PGROUP',
    '__transactionId__',
    'TRANSACTION_CHECK_TIMES',
    'CHECK_IMMUNITY_TIME_IN_SECONDS',
    'TRAN_PREPARED_QUEUE_OFFSET',
  ),
  ...rule(
    'dropped',
    'book-keeping of delayed delivery',
    'REAL_TOPIC',
    'REAL_QID',
    'TIMER_OUT_MS',
    'TIMER_ENQUEUE_MS',
    'TIMER_DEQUEUE_MS',
    'TIMER_ROLL_TIMES',
    'TIMER_DEL_UNIQKEY',
    'TIMER_ROLL_LABEL',
  ),
  ...rule(
    'dropped',
    'state of one consumer at the source',
    'POP_CK',
    '1ST_POP_TIME',
    'ORIGIN_GROUP',
    'RECONSUME_TIME',
    'MAX_RECONSUME_TIMES',
  ),
  ...rule(
    'dropped',
    'how the source stores batches and multiplies messages',
    'INNER_NUM',
    'INNER_BASE',
    'INNER_MULTI_DISPATCH',
    'INNER_MULTI_QUEUE_OFFSET',
  ),
  ...rule('dropped', 'checksum that the source broker appended', '__CRC32#'),
];

interface Known {
  readonly bytes: Buffer;
  readonly role: PropertyRole;
}

/** Rules by the length of the name, so that most names are settled by one look-up. */
const KNOWN: readonly (readonly Known[] | undefined)[] = byLength();

function byLength(): Known[][] {
  const table: Known[][] = [];
  for (const { name, role } of PROPERTY_RULES) {
    const bytes = Buffer.from(name, 'latin1');
    const same = table[bytes.length];
    if (same === undefined) table[bytes.length] = [{ bytes, role }];
    else same.push({ bytes, role });
  }
  return table;
}

/** The role of the property whose name lies at [start, end). Makes no string: it runs for every property of every message. */
export function roleOf(bytes: Uint8Array, start: number, end: number): PropertyRole {
  const candidates = KNOWN[end - start];
  if (candidates === undefined) return 'kept';
  for (const { bytes: name, role } of candidates) {
    let i = 0;
    while (i < name.length && name[i] === bytes[start + i]) i++;
    if (i === name.length) return role;
  }
  return 'kept';
}

/** The clusters that a message has passed by rocketmq-replicator's mark: `cloud_cluster_region,` for each, the first origin in front. */
export function clustersOf(bornSource: string): string[] {
  return bornSource.split(',').filter((cluster) => cluster !== '');
}
