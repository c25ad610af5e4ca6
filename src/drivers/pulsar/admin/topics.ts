import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { entryPosition } from '../../../model/position.ts';
import type { Log } from '../../../spi/log.ts';
import type { LaneExtent } from '../../../spi/source.ts';
import { parseTopicName, partitionTopic } from '../topic-name.ts';
import { listField, numberField, textField } from './json.ts';
import { type Rest, reasonOf } from './rest.ts';

/** A ledger of a partition and how many entries it holds. */
export interface LedgerExtent {
  readonly ledger: number;
  readonly entries: number;
}

export interface Ensured {
  /** Partitions, 0 where the topic has none. */
  readonly present: number;
  readonly created: boolean;
}

/** The REST path of a topic or of one of its partitions. */
export function topicPath(topic: string): string {
  const { tenant, namespace, local } = parseTopicName(topic);
  return `/persistent/${[tenant, namespace, local].map(encodeURIComponent).join('/')}`;
}

/** How many partitions a topic has: 0 when it exists unpartitioned, `undefined` when it does not exist. Creates nothing. */
export async function partitionsOf(rest: Rest, topic: string): Promise<number | undefined> {
  const metadata = await rest.get(`${topicPath(topic)}/partitions?checkAllowAutoCreation=false`);
  return metadata === undefined ? undefined : numberField(metadata, 'partitions');
}

/** The ledgers of a partition, oldest first, without those that are empty. */
export async function ledgersOf(rest: Rest, topic: string, partition: number | undefined): Promise<LedgerExtent[]> {
  const name = partition === undefined ? topic : partitionTopic(topic, partition);
  return ledgersIn(await internalStatsOf(rest, name));
}

/** What the broker knows of a partition's storage; `undefined` when it does not exist. */
export function internalStatsOf(rest: Rest, partition: string): Promise<unknown> {
  return rest.get(`${topicPath(partition)}/internalStats`);
}

/** The ledgers in internal statistics, oldest first, without those that are empty. */
export function ledgersIn(stats: unknown): LedgerExtent[] {
  const ledgers = listField(stats, 'ledgers').map((each) => ({
    ledger: numberField(each, 'ledgerId'),
    entries: numberField(each, 'entries'),
  }));
  const open = ledgers.at(-1);
  // The newest ledger is still written: its own count says 0 until it is closed.
  if (open !== undefined)
    ledgers.splice(-1, 1, {
      ...open,
      entries: Math.max(open.entries, numberField(stats, 'currentLedgerEntries'), lastEntryIn(stats, open.ledger) + 1),
    });
  return ledgers.filter((each) => each.entries > 0);
}

/** Where a partition with these ledgers begins and ends. */
export function extentOf(ledgers: readonly LedgerExtent[]): LaneExtent {
  const [oldest, newest] = [ledgers[0], ledgers.at(-1)];
  const begin = entryPosition(oldest?.ledger ?? -1, oldest === undefined ? -1 : 0);
  return { begin, end: newest === undefined ? begin : entryPosition(newest.ledger, newest.entries) };
}

function lastEntryIn(stats: unknown, ledger: number): number {
  const [ledgerId, entryId] = textField(stats, 'lastConfirmedEntry').split(':').map(Number);
  return ledgerId === ledger && entryId !== undefined ? entryId : -1;
}

/**
 * Creates a partitioned topic (one without partitions for 0) or grows it to at least `partitions`, and resolves to the number there is: 0 for one without partitions, which
 * does where one is wanted. A new one keeps its records for `retentionMinutes` where
 * nothing sets that: by default Pulsar deletes what no subscription holds, and a mirrored topic has none before its consumers come.
 */
export async function ensureRetainedTopic(
  rest: Rest,
  log: Log,
  topic: string,
  partitions: number,
  retentionMinutes: number | undefined,
): Promise<number> {
  return (await ensureTopic(rest, log, topic, partitions, retentionMinutes)).present;
}

/** As `ensureRetainedTopic`; tells also whether the topic is new. */
export async function ensureTopic(
  rest: Rest,
  log: Log,
  topic: string,
  partitions: number,
  retentionMinutes: number | undefined,
): Promise<Ensured> {
  const ensured = await ensurePartitions(rest, topic, partitions);
  if (!ensured.created || retentionMinutes === undefined) return ensured;
  try {
    if ((await retentionMinutesOf(rest, topic)) === 0) {
      const answer = await rest.send('POST', `${topicPath(topic)}/retention`, {
        retentionTimeInMinutes: retentionMinutes,
        retentionSizeInMB: -1,
      });
      rest.expectSuccess(answer, `setting the retention of ${topic}`);
    }
  } catch (error) {
    // Not being allowed to set it is no reason not to mirror: `check` says what that means.
    const { code, message } = toIsthmusError(error);
    log.warn('retention-not-set', { topic, code, detail: message });
  }
  return ensured;
}

/** How long the topic keeps records that every subscription has read: its own setting, or its namespace's, or the broker's; 0 = not at all, -1 = for ever. */
export async function retentionMinutesOf(rest: Rest, topic: string): Promise<number> {
  const applied = await rest.get(`${topicPath(topic)}/retention?applied=true`);
  return applied === undefined ? 0 : numberField(applied, 'retentionTimeInMinutes');
}

/** Creates a topic or grows it to at least `partitions`. Resolves to the number there is, and whether the topic is new. */
async function ensurePartitions(rest: Rest, topic: string, partitions: number): Promise<Ensured> {
  const path = partitions === 0 ? topicPath(topic) : `${topicPath(topic)}/partitions`;
  let created = false;
  for (let tries = 0; tries < 3; tries++) {
    const present = await partitionsOf(rest, topic);
    if (present !== undefined && (present >= partitions || (present === 0 && partitions === 1))) return { present, created };
    if (present === 0) {
      throw new IsthmusError(
        'TOPIC_MISMATCH',
        `creating ${topic}: a topic of this name without partitions exists, and partitions beside it would share its name. Rename it in the mirror (rename), or delete it if it is empty`,
      );
    }
    const answer = await rest.send(present === undefined ? 'PUT' : 'POST', path, partitions === 0 ? undefined : partitions);
    if (answer.status === 404)
      throw new IsthmusError(
        'TOPIC_NOT_FOUND',
        `creating ${topic}: ${reasonOf(answer)}. Create the tenant and the namespace first`,
      );
    // 409: somebody else was faster; the next round looks at what they made.
    if (answer.status === 409) continue;
    rest.expectSuccess(answer, `creating ${topic} with ${partitions} partitions`);
    created ||= present === undefined;
  }
  throw new IsthmusError('CONFLICT', `creating ${topic}: it exists and does not exist, by turns`, { retryable: true });
}

/** The topic's own limit on an entry in bytes, `undefined` when it has none. */
export async function maxMessageBytesOf(rest: Rest, topic: string): Promise<number | undefined> {
  const limit = await rest.get(`${topicPath(topic)}/maxMessageSize`);
  return typeof limit === 'number' && limit > 0 ? limit : undefined;
}
