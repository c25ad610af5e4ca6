import { beforeEach, describe, expect, it } from 'vitest';
import type { MirrorSpec } from '../../../src/model/mirror-spec.ts';
import { Stage, specOf } from './kit.ts';

describe('a target topic', () => {
  let stage: Stage;
  const dedup: MirrorSpec['dedup'] = { windowMillis: 3_600_000, maxIds: 1_000, id: { kind: 'origin' }, onStateLoss: 'stop' };

  /** Runs a mirror of this name for a while. */
  async function mirror(name: string, rule = dedup): Promise<void> {
    const process = stage.start({ mirrors: [specOf(name, { rename: '{topic}-copy', dedup: rule })] });
    await stage.time.pass(15_000);
    await stage.close(process);
  }

  beforeEach(async () => {
    stage = new Stage();
    stage.source.addQueues('orders', 'broker-a', 2);
    stage.produce(10, { properties: { id: 'x' } });
    stage.produce(7, {}, 'orders', 'broker-a:1');
    await mirror('first');
  });

  it('gets nothing a second time over another mirror, as its dedup window knows', async () => {
    expect(stage.stored().sort()).toEqual(stage.sent().sort());
    await mirror('second');
    expect(stage.stored()).toHaveLength(17);
  });

  it.each([
    ['the origin', { kind: 'origin' }],
    ['a property', { kind: 'property', name: 'id' }],
  ] as const)('gets everything when it was deleted and is made again, though its window knew it by %s', async (_, id) => {
    const rule = { ...dedup, id };
    stage.target.deleteTopic('orders-copy');
    await mirror('second', rule);
    stage.target.deleteTopic('orders-copy');
    await mirror('third', rule);
    // Ten records share a value of the property.
    expect(stage.stored()).toHaveLength(id.kind === 'origin' ? 17 : 8);
  });
});
