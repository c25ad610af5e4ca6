import type { MessageId } from '../wire/message-id.ts';
import { field, listField, numberField, textField } from './json.ts';
import type { Rest } from './rest.ts';
import { internalStatsOf, type LedgerExtent, ledgersIn, topicPath } from './topics.ts';

export interface StorageState {
  /** Oldest first, without those that are empty. */
  readonly ledgers: readonly LedgerExtent[];
  /** The newest ledger, also when it is empty; -1 when nothing is known. */
  readonly newest: number;
  /** Up to where each subscription is done, by its name. */
  readonly cursors: ReadonlyMap<string, MessageId>;
}

/** The storage of a partition and the places of its subscriptions, as its broker has them in memory. Empty when it does not exist. */
export async function ledgersAndCursors(rest: Rest, partition: string): Promise<StorageState> {
  const stats = await internalStatsOf(rest, partition);
  const cursors = new Map<string, MessageId>();
  for (const [name, cursor] of Object.entries(field(stats, 'cursors') ?? {})) {
    const id = parseId(textField(cursor, 'markDeletePosition'));
    if (id !== undefined) cursors.set(decodeURIComponent(name), id);
  }
  return {
    ledgers: ledgersIn(stats),
    newest: numberField(listField(stats, 'ledgers').at(-1) ?? { ledgerId: -1 }, 'ledgerId'),
    cursors,
  };
}

/** Up to where a subscription was done when its broker last wrote that down, which may be long ago; `undefined` when there is none. */
export async function writtenCursor(rest: Rest, partition: string, subscription: string): Promise<MessageId | undefined> {
  const cursor = field(
    field(await rest.get(`${topicPath(partition)}/internal-info`), 'cursors'),
    encodeURIComponent(subscription),
  );
  const markDelete = field(cursor, 'markDelete');
  return markDelete === undefined
    ? undefined
    : { ledger: numberField(markDelete, 'ledgerId'), entry: numberField(markDelete, 'entryId') };
}

/** Whether the brokers let messages of a topic expire that a subscription has not read: after a time, or to make room. */
export async function expires(rest: Rest, topic: string): Promise<boolean> {
  const ttlSeconds = await rest.get(`${topicPath(topic)}/messageTTL?applied=true`);
  if (typeof ttlSeconds === 'number' && ttlSeconds > 0) return true;
  const quotas = field(await rest.get(`${topicPath(topic)}/backlogQuotaMap?applied=true`), 'destination_storage') ?? {};
  return textField(quotas, 'policy') === 'consumer_backlog_eviction';
}

/** The first entry of a partition that was published at or after `time`, milliseconds since 1970; `undefined` when the broker does not say. */
export async function findTime(rest: Rest, partition: string, time: number): Promise<MessageId | undefined> {
  const found = await rest.get(`${topicPath(partition)}/messageid/${time}`);
  const [ledger, entry] = [field(found, 'ledgerId'), field(found, 'entryId')];
  return typeof ledger === 'number' && typeof entry === 'number' && entry >= 0 ? { ledger, entry } : undefined;
}

/** Reads `ledger:entry`; what may follow in statistics is left out. */
function parseId(text: string): MessageId | undefined {
  const match = /^(\d{1,16}):(-?\d{1,16})/.exec(text);
  return match === null ? undefined : { ledger: Number(match[1]), entry: Number(match[2]) };
}
