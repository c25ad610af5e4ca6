import type { MessageView } from 'rocketmq-client-nodejs';
import { describe, expect, it } from 'vitest';
import type { GrpcClients } from '../../../../../src/drivers/rocketmq/grpc/client.ts';
import { GrpcLaneReader } from '../../../../../src/drivers/rocketmq/grpc/lane-reader.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { type Deferred, deferred } from '../../../../../src/lib/deferred.ts';
import { offsetPosition } from '../../../../../src/model/position.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { memoryLog } from '../../../../kit/pulsar-writing.ts';

const LANE = { topic: 'orders', lane: '*' };

function view(messageId: string): MessageView {
  const at = new Date(1_763_750_000_000);
  const message = {
    messageId,
    body: Buffer.from(messageId),
    properties: new Map(),
    keys: [],
    bornTimestamp: at,
    decodeTimestamp: at,
  };
  return { ...message, transportDeliveryTimestamp: at, corrupted: false } as unknown as MessageView;
}

/** A proxy that hands out what it is told to, and takes acknowledgements while it wants to. */
class FakeProxy {
  readonly acknowledged: string[] = [];
  takesAcks = true;
  readonly #batches: (readonly MessageView[])[] = [];
  #waiting: Deferred<readonly MessageView[]> | undefined;

  give(...ids: string[]): void {
    const views = ids.map(view);
    if (this.#waiting === undefined) this.#batches.push(views);
    else this.#waiting.resolve(views);
    this.#waiting = undefined;
  }

  readonly #consumer = {
    receive: (): Promise<readonly MessageView[]> => {
      const batch = this.#batches.shift();
      if (batch !== undefined) return Promise.resolve(batch);
      this.#waiting = deferred();
      return this.#waiting.promise;
    },
    ack: async ({ messageId }: MessageView): Promise<void> => {
      if (!this.takesAcks) throw new Error('the proxy is away');
      this.acknowledged.push(messageId);
    },
  };

  open(budgetBytes = 2 ** 20): GrpcLaneReader {
    const clients = { consumer: async () => this.#consumer, end: async () => undefined } as unknown as GrpcClients;
    const reading = { group: 'g', budget: new ByteBudget(budgetBytes), onTrouble: () => undefined };
    const deps = { clock: systemClock, log: memoryLog([]), random: () => 0, marks: plainMarks };
    return new GrpcLaneReader(clients, LANE, offsetPosition(100), reading, deps);
  }
}

async function bodies(reader: GrpcLaneReader): Promise<string[]> {
  const delivery = await reader.read();
  if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
  const { batch } = delivery;
  const read = Array.from({ length: batch.count }, (_, i) => `${batch.positionAt(i).major} ${batch.body(i).toString()}`);
  batch.release();
  return read;
}

describe('a lane that a proxy hands out', () => {
  it('gives a message that comes beside one whose acknowledgement fails, and acknowledges none that was not given', async () => {
    const proxy = new FakeProxy();
    const reader = proxy.open();
    proxy.give('a', 'b');
    expect(await bodies(reader)).toEqual(['100 a', '101 b']);
    proxy.takesAcks = false;
    await expect(reader.commit(offsetPosition(102))).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    proxy.give('a', 'c');
    expect(await bodies(reader)).toEqual(['102 c']);
    proxy.takesAcks = true;
    proxy.give('b', 'd');
    expect(await bodies(reader)).toEqual(['103 d']);
    await reader.commit(offsetPosition(103));
    expect(new Set(proxy.acknowledged)).toEqual(new Set(['a', 'b', 'c']));
    await reader.close();
  });

  it('gives no message twice that comes again while it is with us', async () => {
    const proxy = new FakeProxy();
    const reader = proxy.open();
    proxy.give('a', 'b');
    proxy.give('b', 'c');
    expect(await bodies(reader)).toEqual(['100 a', '101 b']);
    expect(await bodies(reader)).toEqual(['102 c']);
    await reader.close();
  });

  it('can be closed while it waits for room that never comes', async () => {
    const proxy = new FakeProxy();
    const reader = proxy.open(1);
    proxy.give('a');
    proxy.give('b');
    const delivery = await reader.read();
    await systemClock.sleep(100);
    await reader.close();
    await expect(reader.read()).rejects.toMatchObject({ code: 'CLOSED' });
    if (delivery.kind === 'records') delivery.batch.release();
  });
});
