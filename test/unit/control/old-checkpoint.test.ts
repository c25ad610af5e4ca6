import { beforeEach, describe, expect, it } from 'vitest';
import { openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import { IsthmusError } from '../../../src/errors.ts';
import { type Deferred, deferred } from '../../../src/lib/deferred.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import type { LeaseStore } from '../../../src/spi/lease.ts';
import type { Checkpoint, StateStore } from '../../../src/spi/state-store.ts';
import { Stage, specOf } from './kit.ts';

const KEY = { link: 'l', mirror: 'm' };

describe('a process that has lost the lease of a lane', () => {
  let stage: Stage;
  let leasesAway: boolean;
  let gate: Deferred<void> | undefined;

  beforeEach(() => {
    stage = new Stage();
    leasesAway = false;
    gate = undefined;
    const leasesOf = stage.store.leases.bind(stage.store);
    stage.store.leases = (clock) => whileThere(leasesOf(clock));
    stage.source.addQueues('orders', 'broker-a', 1);
  });

  function whileThere(leases: LeaseStore): LeaseStore {
    const asked = async <T>(question: () => Promise<T>): Promise<T> => {
      if (leasesAway) throw new IsthmusError('STATE_UNAVAILABLE', 'no answer');
      return await question();
    };
    return {
      acquire: (...of) => asked(() => leases.acquire(...of)),
      acquireAll: (...of) => asked(() => leases.acquireAll(...of)),
      release: (...of) => asked(() => leases.release(...of)),
      releaseAll: (...of) => asked(() => leases.releaseAll(...of)),
    };
  }

  /** An index that is written slowly holds the checkpoint up. */
  function slowIndex(store: StateStore): StateStore {
    return new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        const call: (...of: unknown[]) => unknown = value.bind(target);
        return name === 'appendIndex' ? async (...of: unknown[]) => (await gate?.promise, call(...of)) : call;
      },
    });
  }

  it('does not write its old checkpoint over that of the next owner', async () => {
    const broker = new QueueBroker(stage.time.clock());
    const network = new MemoryNetwork(stage.time.clock(), stage.random.next, () => NO_FAULTS);
    const target = () => openQueueCluster('west', broker, network);
    stage.start({ mirrors: [specOf('m', { rename: '{topic}-copy' })], wrap: { target, store: slowIndex } });
    stage.produce(5);
    await stage.time.pass(30_000);
    const [own] = await stage.store.loadCheckpoints(KEY);
    expect(own?.next).toEqual(offsetPosition(5));
    gate = deferred();
    stage.produce(5);
    await stage.time.pass(3_000);
    leasesAway = true;
    await stage.time.pass(15_000);
    const next: Checkpoint = { lane: { topic: 'orders', lane: 'broker-a:0' }, next: offsetPosition(99), targets: {}, time: 1 };
    await stage.store.saveCheckpoints(KEY, [next]);
    gate.resolve();
    await stage.time.pass(5_000);
    expect(await stage.store.loadCheckpoints(KEY)).toEqual([next]);
  });
});
