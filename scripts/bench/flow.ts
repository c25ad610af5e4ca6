/** Watches messages arrive on the target, in the same way for whoever sends them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterEyes } from '../../test/kit/cluster-eyes.ts';
import type { Report } from './bed.ts';

/** Moments are `performance.now()`, milliseconds. */
export type Flow = {
  readonly firstSeenAt: number;
  readonly firstSeenCount: number;
  readonly completeAt: number;
};

const pollMs = 100;
const reportMs = 5_000;
const stallMs = 60_000;

/**
 * Resolves once the brokers have taken `count` messages for the topic, by their own counters, looked at every 100 ms. Throws
 * when nothing arrived for a minute, or what `assertRunning` throws.
 */
export async function watchFlow(
  eyes: Pick<ClusterEyes, 'messagesIn'>,
  topic: string,
  count: number,
  assertRunning: () => void,
  report: Report,
): Promise<Flow> {
  let firstSeenAt = 0;
  let firstSeenCount = 0;
  let last = 0;
  let lastChange = performance.now();
  let lastReport = lastChange;
  for (;;) {
    const there = await eyes.messagesIn(topic);
    const now = performance.now();
    if (there > 0 && firstSeenAt === 0) [firstSeenAt, firstSeenCount] = [now, there];
    if (there >= count) return { firstSeenAt, firstSeenCount, completeAt: now };
    assertRunning();
    if (there > last) lastChange = now;
    if (now - lastChange > stallMs) throw new Error(`${topic} stands still at ${there} of ${count}`);
    if (now - lastReport > reportMs) {
      report(`    ${there} of ${count}`);
      lastReport = now;
    }
    last = there;
    await sleep(pollMs);
  }
}
