import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_ASK, PullPace } from '../../../../src/drivers/rocketmq/pull-pace.ts';

describe('the pace of pulls', () => {
  let pace: PullPace;

  beforeEach(() => {
    pace = new PullPace();
  });

  /** Pulls against a broker that gives so many messages of so many bytes at most. */
  function run(pulls: number, gives: number, bytes = 100, millis = 1): number[] {
    return Array.from({ length: pulls }, () => {
      const asked = pace.ask();
      const messages = Math.min(asked, gives);
      pace.answered(asked, messages, messages * bytes, messages < asked, millis);
      return asked;
    });
  }

  it('asks for what brokers usually give', () => {
    expect(pace.ask()).toBe(32);
  });

  it('comes down to what a broker gives from disk, and up again', () => {
    expect(run(10, 8).at(-1)).toBe(8);
    expect(Math.max(...run(200, 32).slice(-20))).toBeGreaterThanOrEqual(32);
  });

  it('finds a broker that gives a thousand, but never asks for more than it may', () => {
    run(500, 5_000);
    expect(pace.ask()).toBe(MAX_ASK);
    expect(pace.askOpen()).toBe(MAX_ASK);
  });

  it('asks for fewer messages when they are large', () => {
    run(100, 32, 256 * 1024);
    expect(pace.ask()).toBeLessThanOrEqual(5);
    expect(pace.estimateBytes(1)).toBeGreaterThan(200 * 1024);
  });

  it('asks for single messages after an answer was too large for a frame, and recovers', () => {
    pace.tooLarge();
    expect(pace.ask()).toBe(1);
    run(2_000, 32);
    expect(pace.ask()).toBeGreaterThanOrEqual(16);
  });

  it('deepens while the reader starves and answers take no longer than the way', () => {
    for (let i = 0; i < 20; i++) {
      run(pace.depth, 32, 100, 100);
      pace.starved();
    }
    expect(pace.depth).toBe(64);
  });

  it('does not deepen when answers only queue at the broker', () => {
    run(10, 32, 100, 1);
    const before = pace.depth;
    for (let i = 0; i < 20; i++) {
      run(pace.depth, 32, 100, 50);
      pace.starved();
    }
    expect(pace.depth).toBe(before);
  });

  it('deepens once per round of answers, not once per wait', () => {
    run(4, 32);
    for (let i = 0; i < 50; i++) pace.starved();
    expect(pace.depth).toBe(6);
  });

  it('becomes shallower when answers wait to be taken, but never stops overlapping', () => {
    for (let i = 0; i < 10; i++) {
      run(pace.depth, 32);
      pace.starved();
    }
    for (let i = 0; i < 200; i++) {
      run(pace.depth, 32);
      pace.sated();
    }
    expect(pace.depth).toBe(4);
  });
});
