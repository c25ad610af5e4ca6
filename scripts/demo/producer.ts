/** An application: writes orders through the official Java client, in the background, at a steady pace. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Order, orderOf } from './orders.ts';
import type { Flow } from './plan.ts';
import type { SideOfDemo } from './sides.ts';

const turnMillis = 100;

export type Producer = {
  /** Messages that the source has acknowledged. */
  readonly sent: () => number;
  /** Resolves when `count` messages in all are acknowledged; rejects when sending fails or at an abort. */
  readonly reached: (count: number, signal: AbortSignal) => Promise<void>;
  /** Goes on beyond the number of messages that was asked for, at `rate` messages per second. */
  readonly goOn: (rate: number) => void;
  /** Ends producing after what is on its way. Rejects with what made sending fail. */
  readonly stop: () => Promise<void>;
};

/** Starts to produce messages 0, 1, 2, ... until there are `flow.count`. */
export function startProducer(side: SideOfDemo, flow: Flow): Producer {
  let { rate, count: limit } = flow;
  let sent = 0;
  let stopping = false;
  const work = async (): Promise<void> => {
    let due = 0;
    let turnAt = performance.now();
    while (!stopping) {
      await sleep(Math.max(0, turnAt - performance.now()));
      turnAt = Math.max(turnAt + turnMillis, performance.now() - turnMillis);
      due += (rate * turnMillis) / 1000;
      const count = Math.min(Math.floor(due), limit - sent);
      due -= Math.floor(due);
      if (count > 0) await sendTurn(side, flow, sent, count);
      sent += count;
    }
  };
  const working = work();
  // Looked at by whoever waits; without this a failure between two waits would end the process.
  working.catch(() => undefined);
  return {
    sent: () => sent,
    reached: async (count, signal) => {
      while (sent < count) await Promise.race([working, sleep(turnMillis, undefined, { signal })]);
    },
    goOn: (slower) => {
      rate = slower;
      limit = Number.POSITIVE_INFINITY;
    },
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}

/** One request per lane, side by side; the next turn waits for all of them, because two on their way to one lane may change places. */
async function sendTurn(side: SideOfDemo, flow: Flow, from: number, count: number): Promise<void> {
  const byLane = new Map<number, Order[]>();
  for (let seq = from; seq < from + count; seq++) {
    const order = orderOf(flow.writer, seq, flow.lanes);
    const list = byLane.get(order.lane);
    if (list === undefined) byLane.set(order.lane, [order]);
    else list.push(order);
  }
  await Promise.all([...byLane.values()].map(async (orders) => await side.send(flow.topic, orders)));
}
