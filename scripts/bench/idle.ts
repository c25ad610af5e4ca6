/** What lanes cost on which nothing arrives. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';
import { queues } from './throughput.ts';

export type Idle = {
  /** Share of one core. */
  readonly cpuPercent: number | null;
  readonly peakRssMib: number | null;
};

const settleMs = 10_000;
const messagesPerLane = 2;

/** Every lane has mirrored some messages before, so that its reader and its producer are open. */
export async function measureIdle(bed: Bed, topicCount: number, seconds: number): Promise<Idle> {
  const prefix = `bench-idle-${Date.now()}`;
  const names = Array.from({ length: topicCount }, (_, i) => `${prefix}-${i}`);
  const target = (name: string): string => `persistent://public/default/${name}`;
  for (const name of names) {
    await bed.sourceEyes.createTopic(name, { queues });
    await bed.targetEyes.createTopic(target(name), queues);
    await bed.sourceEyes.load(name, { count: queues * messagesPerLane, keys: 0 });
  }
  const isthmus = await startIsthmus(bed, { topics: `${prefix}-*`, rename: target('{topic}') });
  try {
    for (const name of names) {
      await watchFlow(bed.targetEyes, target(name), queues * messagesPerLane, isthmus.assertRunning, bed.report);
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
      cpuPercent: used === null ? null : (used / elapsedSeconds) * 100,
      peakRssMib: after.peakRssMib,
    };
  } finally {
    await isthmus.stop();
    for (const name of names) {
      await bed.targetEyes.deleteTopic(target(name));
      await bed.sourceEyes.deleteTopic(name);
    }
  }
}
