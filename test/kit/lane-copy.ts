/** Moves a topic from a source to a sink, lane by lane, with nothing between the two drivers. */
import { randomUUID } from 'node:crypto';
import { ByteBudget } from '../../src/lib/byte-budget.ts';
import { BEFORE_ALL, comparePositions } from '../../src/model/position.ts';
import type { RecordBatch } from '../../src/model/record-batch.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { LaneWriter, Sink } from '../../src/spi/sink.ts';
import type { Source } from '../../src/spi/source.ts';

export type Copied = {
  /** Why records were refused, by the value of their property `id`. */
  readonly refused: ReadonlyMap<string, string>;
  /** Records that their source could not read, by the same. */
  readonly damaged: ReadonlyMap<string, string>;
};

/** Copies what each lane of `topic` holds now; lane k goes to partition k. */
export async function copyTopic(from: Cluster, topic: string, to: Sink, targetTopic: string): Promise<Copied> {
  const { source } = from;
  if (source === undefined) throw new Error('the cluster cannot be read');
  const refused = new Map<string, string>();
  const damaged = new Map<string, string>();
  const lanes = (await from.admin.describeTopic(topic))?.lanes ?? [];
  for (const [partition, { lane }] of lanes.entries()) {
    const failures: Error[] = [];
    let stored = 0;
    const writer = await to.openWriter({
      topic: targetTopic,
      partition,
      sourceCluster: from.name,
      lane: { topic, lane },
      link: 'copy',
      batching: 'mixed',
      compression: 'none',
      signal: new AbortController().signal,
      onStored: ({ count }) => {
        stored += count;
      },
      onFailed: (error) => failures.push(error),
      onTrouble: () => undefined,
    });
    const take = async (batch: RecordBatch, i: number): Promise<boolean> => {
      const id = batch.property(i, 'id') ?? String(batch.positionAt(i).major);
      const damage = batch.damaged?.get(i);
      if (damage !== undefined) {
        damaged.set(id, damage);
        return false;
      }
      const reason = await append(writer, batch, i);
      if (reason !== undefined) refused.set(id, reason);
      return reason === undefined;
    };
    const taken = await readLane(source, { topic, lane }, take);
    writer.flush();
    while (stored < taken) {
      if (failures[0] !== undefined) throw failures[0];
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await writer.close(0);
  }
  return { refused, damaged };
}

async function append(writer: LaneWriter, batch: RecordBatch, i: number): Promise<string | undefined> {
  for (;;) {
    const result = writer.append(batch, i);
    if (result === 'taken') return undefined;
    if (result !== 'full') return result.refused;
    writer.flush();
    await writer.ready();
  }
}

/** Hands every record up to the lane's present end to `take`; gives how many it took. */
async function readLane(
  source: Source,
  lane: { readonly topic: string; readonly lane: string },
  take: (batch: RecordBatch, i: number) => Promise<boolean>,
): Promise<number> {
  const end = await source.resolveStart(lane, { kind: 'latest' });
  let next = await source.resolveStart(lane, { kind: 'earliest' });
  const budget = new ByteBudget(64 * 2 ** 20);
  const reader = await source.openLane(lane, next, { group: `copy-${randomUUID()}`, budget, onTrouble: () => undefined });
  let taken = 0;
  while (comparePositions(next, end) < 0) {
    const delivery = await reader.read();
    if (delivery.kind === 'gap') throw new Error(`a gap in ${lane.lane}: ${delivery.reason}`);
    const { batch } = delivery;
    for (let i = 0; i < batch.count; i++) if (await take(batch, i)) taken++;
    next = batch.end ?? (batch.count === 0 ? BEFORE_ALL : source.next(batch.positionAt(batch.count - 1)));
    batch.release();
  }
  await reader.close();
  return taken;
}
