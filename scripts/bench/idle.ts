/** What lanes cost on which nothing arrives. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, queues } from './bed.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';

export type Idle = {
  readonly lanes: number;
  /** Share of one core. */
  readonly cpu_percent: number | null;
  readonly rss_mib: number | null;
};

const settleMs = 10_000;
const messagesPerLane = 2;

/** Every lane has mirrored some messages before, so that its reader and its writer are open. */
export async function measureIdle(bed: Bed, topicCount: number, seconds: number): Promise<Idle> {
  const prefix = `bench-idle-${Date.now()}`;
  const topics = Object.fromEntries(Array.from({ length: topicCount }, (_, i) => [`${prefix}-${i}`, `${prefix}-${i}-copy`]));
  for (const [name, copy] of Object.entries(topics)) {
    await bed.source.createTopic(name, queues);
    await bed.target.createTopic(copy, queues);
    await bed.source.load(name, { count: queues * messagesPerLane, keys: 0 });
  }
  const isthmus = await startIsthmus(bed, { topics, windows: false });
  try {
    for (const copy of Object.values(topics)) {
      await watchFlow(bed.target, copy, queues * messagesPerLane, isthmus.assertRunning, bed.report);
    }
    await sleep(settleMs);
    bed.report(`${topicCount * queues} idle lanes for ${seconds} s`);
    const before = costOf(isthmus.pid);
    const began = performance.now();
    await sleep(seconds * 1000);
    const after = costOf(isthmus.pid);
    const elapsedSeconds = (performance.now() - began) / 1000;
    const used = before.cpuSeconds === null || after.cpuSeconds === null ? null : after.cpuSeconds - before.cpuSeconds;
    return {
      lanes: topicCount * queues,
      cpu_percent: used === null ? null : Number(((used / elapsedSeconds) * 100).toFixed(2)),
      rss_mib: after.peakRssMib === null ? null : Math.round(after.peakRssMib),
    };
  } finally {
    await isthmus.stop();
    for (const [name, copy] of Object.entries(topics)) {
      await bed.target.deleteTopic(copy);
      await bed.source.deleteTopic(name);
    }
  }
}
