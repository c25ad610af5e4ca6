/** What the tests of a file stand on: a queue that can be written, and the driver connected to it, four times as fast as the clock. */
import { afterEach, beforeEach } from 'vitest';
import type { Sink } from '../../../../../src/spi/sink.ts';
import { FastClock, type Opened, openCluster, sinkOf } from '../kit.ts';
import { FakeQueue } from './fake-queue.ts';

/** Settling takes seconds by the clock. */
export const TIMES = 4;

export interface QueueScene {
  readonly queue: FakeQueue;
  readonly opened: Opened;
  readonly sink: Sink;
}

/** Declares what sets the scene anew for each test around the call, and clears it away. */
export function useQueue(): QueueScene {
  let queue = new FakeQueue();
  let opened: Opened;
  beforeEach(async () => {
    queue = await new FakeQueue().start();
    opened = openCluster([queue.broker.address], undefined, undefined, new FastClock(TIMES));
  });
  afterEach(async () => {
    await opened.cluster.close();
    await queue.broker.close();
  });
  return {
    get queue() {
      return queue;
    },
    get opened() {
      return opened;
    },
    get sink() {
      return sinkOf(opened);
    },
  };
}
