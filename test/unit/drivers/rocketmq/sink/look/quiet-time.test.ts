import { describe, expect, it } from 'vitest';
import { QuietTime } from '../../../../../../src/drivers/rocketmq/sink/look/quiet-time.ts';

/** Feeds probes, each as [asked, answered]; when which of them ended the wait, and the moment before which all is settled. */
function ended(probes: readonly (readonly [askedAt: number, answeredAt: number])[]): unknown {
  const quiet = new QuietTime();
  for (const [askedAt, answeredAt] of probes) {
    const since = quiet.answered(askedAt, answeredAt);
    if (since !== undefined) return { since, at: answeredAt };
  }
  return undefined;
}

/** Probes every 200 ms that take so many milliseconds each, from a moment on. */
const steady = (from: number, count: number, takes = 2): [number, number][] =>
  Array.from({ length: count }, (_, k) => [from + k * (200 + takes), from + k * (200 + takes) + takes]);

describe('a broker is quiet', () => {
  it('when it has answered for 1.6 s without a pause', () => {
    expect(ended(steady(1_000, 8))).toBeUndefined();
    expect(ended(steady(1_000, 20))).toEqual({ since: 1_000, at: 2_618 });
  });

  // A frozen broker that goes on answers the probe first, and then stores what else it holds: to look at once stored it twice.
  it('not by a probe that was on its way for that long: the time begins with its answer', () => {
    expect(ended([[0, 5_000]])).toBeUndefined();
    expect(ended([[0, 5_000], ...steady(5_200, 20)])).toEqual({ since: 5_000, at: 6_616 });
  });

  it('not by two answers that took most of a second each', () => {
    expect(ended(steady(0, 7, 900))).toBeUndefined();
    expect(ended(steady(0, 8, 900))).toEqual({ since: 0, at: 8_600 });
  });

  it('not by the time in which this process itself stood still', () => {
    const probes = [...steady(0, 3), ...steady(9_000, 20)];
    expect(ended(probes)).toEqual({ since: 9_002, at: 10_618 });
  });
});
