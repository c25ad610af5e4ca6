import { PROVENANCE_PROPERTY, type Provenance, readPlace } from '../../../model/provenance.ts';
import type { BrokerConnection } from '../net/broker-connection.ts';
import { compareIds, readEntries, scanName } from '../net/entry-reader.ts';
import type { PulsarDeps } from '../options.ts';
import type { MessageId } from '../wire/message-id.ts';
import type { ScannedMetadata } from '../wire/message-metadata.ts';
import type { Entry, Origin } from './entry.ts';
import { isSenderOf } from './producer-name.ts';

export interface TailCheck {
  /** The partition. */
  readonly topic: string;
  readonly after: MessageId;
  readonly producerName: string;
  readonly origin: Origin;
  /** What is in doubt; those that are found get their `target`. */
  readonly entries: readonly Entry[];
}

export interface TailFindings {
  readonly found: number;
  /** The first batch of this lane that is none of these entries. */
  readonly foreign: MessageId | undefined;
}

/** Looks for entries in doubt in the tail of a partition, and for batches of their lane that somebody else wrote. */
export async function findInTail(connection: BrokerConnection, check: TailCheck, deps: PulsarDeps): Promise<TailFindings> {
  let found = 0;
  let foreign: MessageId | undefined;
  const visit = (id: MessageId, metadata: ScannedMetadata): void => {
    if (!isOurs(metadata, check, deps)) return;
    const entry = check.entries.find((each) => matches(each, metadata));
    if (entry === undefined) foreign ??= id;
    else if (entry.target === undefined) {
      entry.target = id;
      found++;
    } else if (compareIds(entry.target, id) !== 0) {
      // The same place twice only means that an earlier look was cut off.
      deps.log.error('stored-twice', { topic: check.topic, sequenceId: metadata.sequenceId, ledger: id.ledger, entry: id.entry });
    }
  };
  const { topic, after: from } = check;
  await readEntries(
    connection,
    { topic, subscription: scanName(deps), from, exclusive: true, property: PROVENANCE_PROPERTY, visit },
    deps.clock,
  );
  return { found, foreign };
}

function isOurs(metadata: ScannedMetadata, { producerName, origin }: TailCheck, { marks }: PulsarDeps): boolean {
  if (isSenderOf(producerName, metadata.producerName)) return true;
  const mark = metadata.property === undefined ? undefined : marks.read(metadata.property);
  return mark !== undefined && isReadFrom(mark, origin);
}

function isReadFrom(mark: Provenance, origin: Origin): boolean {
  const { cluster, topic, lane } = readPlace(mark);
  // Without `via` a mark that has passed others speaks of a record's origin, not of where its writer has read it.
  return (
    (mark.passed.length === 0 || mark.via !== undefined) &&
    cluster === origin.cluster &&
    topic === origin.topic &&
    lane === origin.lane
  );
}

function matches(entry: Entry, metadata: ScannedMetadata): boolean {
  return (
    entry.sequenceId === metadata.sequenceId &&
    entry.highestSequenceId === metadata.highestSequenceId &&
    entry.messages === metadata.messages
  );
}
