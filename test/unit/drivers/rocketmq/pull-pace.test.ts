import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_ASK, PullPace } from '../../../../src/drivers/rocketmq/pull-pace.ts';

describe('the pace of pulls', () => {
  let pace: PullPace;

  beforeEach(() => {
    pace = new PullPace();
  });

  /** How long its ranges are in the middle of a long queue. */
  const length = (): number => pace.plan(1_000_000).length;

  /** Pulls against a broker that gives so many messages of so many bytes at most. */
  function run(pulls: number, gives: number, bytes = 100, millis = 1): number[] {
    return Array.from({ length: pulls }, () => {
      const plan = pace.plan(1_000_000);
      const messages = Math.min(plan.ask, gives);
      pace.answered(plan.length, messages, messages * bytes, messages < plan.ask, millis);
      return plan.length;
    });
  }

  it('asks for what brokers usually give', () => {
    expect(length()).toBe(32);
  });

  it('asks for no more than there is, and for an open end where it is reached', () => {
    expect(pace.plan(7)).toMatchObject({ length: 7, ask: 7 });
    expect(pace.plan(0).length).toBe(Number.POSITIVE_INFINITY);
  });

  it('never makes a range longer than what the broker gave, but asks for more at times', () => {
    const plans = Array.from({ length: 200 }, () => pace.plan(1_000_000));
    expect(new Set(plans.map((plan) => plan.length))).toEqual(new Set([32]));
    expect(new Set(plans.map((plan) => plan.ask))).toEqual(new Set([32, 128]));
  });

  it('reckons with a full answer where nothing is known, and with little where nothing is there yet', () => {
    expect(pace.plan(undefined)).toMatchObject({ length: Number.POSITIVE_INFINITY, bytes: 256 * 1024 });
    expect(pace.plan(0).bytes).toBeLessThan(1_024);
  });

  it('comes down to what a broker gives from disk, and up again', () => {
    expect(run(10, 8).at(-1)).toBe(8);
    expect(Math.max(...run(200, 32).slice(-20))).toBeGreaterThanOrEqual(32);
  });

  it('finds a broker that gives a thousand, but never asks for more than it may', () => {
    run(500, 5_000);
    expect(length()).toBe(MAX_ASK);
    expect(pace.plan(0)).toMatchObject({ ask: MAX_ASK });
  });

  it('asks for fewer messages when they are large', () => {
    run(100, 32, 256 * 1024);
    expect(length()).toBeLessThanOrEqual(5);
    expect(pace.estimateBytes(1)).toBeGreaterThan(200 * 1024);
  });

  it('asks for single messages after an answer was too large for a frame, and recovers', () => {
    pace.tooLarge();
    expect(length()).toBe(1);
    run(2_000, 32);
    expect(length()).toBeGreaterThanOrEqual(16);
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

  it('becomes shallower when answers wait long to be taken, but never stops overlapping', () => {
    for (let i = 0; i < 20; i++) {
      run(pace.depth, 32, 100, 100);
      pace.starved();
    }
    for (let i = 0; i < 200; i++) {
      run(pace.depth, 32, 100, 100);
      pace.taken(1_000);
    }
    expect(pace.depth).toBe(4);
  });

  it('stays as deep as the way is long when answers come in bursts and are taken at once', () => {
    for (let i = 0; i < 50; i++) {
      run(pace.depth, 32, 100, 100);
      for (let taken = 0; taken < pace.depth; taken++) pace.taken(taken);
      pace.starved();
    }
    expect(pace.depth).toBe(64);
  });
});
