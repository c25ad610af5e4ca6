import type { GroupsRule } from '../../../../src/model/mirror-spec.ts';
import { entryPosition, formatPosition } from '../../../../src/model/position.ts';
import { Stage } from '../kit.ts';

export const EVERY: GroupsRule = { include: ['*'], exclude: [], rename: '{group}', everyMillis: 5_000, apply: 'idle' };

export const LANES = ['broker-a:0', 'broker-a:1'] as const;

/** A stage with a topic of two lanes, in which groups have places. */
export function followingStage(): Stage {
  const stage = new Stage();
  stage.source.addQueues('orders', 'broker-a', LANES.length);
  return stage;
}

/** Some records in each lane, a while apart, so that they are not all in one entry. */
export async function produceApart(stage: Stage, count: number, topic = 'orders'): Promise<void> {
  for (let i = 0; i < count; i++) {
    for (const lane of LANES) stage.produce(1, {}, topic, lane);
    await stage.time.pass(50);
  }
}

/** A group has done so many records of each lane. */
export function done(stage: Stage, group: string, offsets: readonly [number, number], topic = 'orders'): void {
  for (const [i, lane] of LANES.entries()) stage.source.commit(topic, lane, group, offsets[i] ?? 0);
}

/** What a group will be given on the target, by partition; `undefined` where it has no place. */
export function given(stage: Stage, group: string, topic = 'orders-copy'): (string[] | undefined)[] {
  return LANES.map((_, partition) => {
    const place = stage.target.committed(topic, partition, group);
    if (place === undefined) return undefined;
    return stage.target
      .entries(topic, partition)
      .filter(({ position }) => formatted(position) >= formatted(place))
      .flatMap(({ records }) => records.map(({ body }) => body.toString()));
  });
}

function formatted({ major, minor }: { readonly major: number; readonly minor: number }): string {
  const [ledger = '', entry = ''] = formatPosition(entryPosition(major, minor)).split(':');
  return `${ledger.padStart(10, '0')}:${entry.padStart(10, '0')}`;
}

/** What a group has not done on the source. */
export function undone(stage: Stage, offsets: readonly [number, number], topic = 'orders'): string[][] {
  return LANES.map((lane, i) =>
    stage.source
      .history(topic, lane)
      .slice(offsets[i])
      .map(({ body }) => body.toString()),
  );
}
