/** How much memory very many lanes with very large messages take. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';

export type Memory = {
  readonly lanes: number;
  readonly messages: number;
  readonly body_bytes: number;
  readonly rss_mib: number | null;
};

/** A little below 4 MiB, which is the most that RocketMQ takes, properties included. */
const bodyBytes = 4_100_000;
/** The defaults of both budgets together (96 MiB) beside the 200 MiB that a process may take. */
export const memoryTargetMib = 300;
const lanesPerTopic = 25;

export async function measureMemory(bed: Bed, lanes: number, messagesPerLane: number): Promise<Memory> {
  const prefix = `bench-memory-${Date.now()}`;
  const names = Array.from({ length: lanes / lanesPerTopic }, (_, i) => `${prefix}-${i}`);
  const topics = Object.fromEntries(names.map((name) => [name, `${name}-copy`]));
  const perTopic = lanesPerTopic * messagesPerLane;
  bed.report(`loading ${lanes} lanes with ${messagesPerLane} messages of ${bodyBytes} B each`);
  for (const [name, copy] of Object.entries(topics)) {
    await bed.source.createTopic(name, lanesPerTopic);
    await bed.target.createTopic(copy, lanesPerTopic);
    await bed.source.load(name, { count: perTopic, size: bodyBytes, keys: 0, batch: 1, stubborn: true });
  }
  const isthmus = await startIsthmus(bed, { topics, windows: false });
  try {
    for (const copy of Object.values(topics)) await watchFlow(bed.target, copy, perTopic, isthmus.assertRunning, bed.report);
    await sleep(1_000);
    const { peakRssMib } = costOf(isthmus.pid);
    for (const copy of Object.values(topics)) {
      const { messages, distinct } = await bed.target.count(copy);
      if (messages < perTopic || distinct !== perTopic)
        throw new Error(`${messages} messages of which ${distinct} different, instead of ${perTopic}`);
    }
    return {
      lanes,
      messages: perTopic * names.length,
      body_bytes: bodyBytes,
      rss_mib: peakRssMib === null ? null : Math.round(peakRssMib),
    };
  } finally {
    await isthmus.stop();
    for (const [name, copy] of Object.entries(topics)) {
      await bed.target.deleteTopic(copy);
      await bed.source.deleteTopic(name);
    }
  }
}
