import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowWindow } from '../../../../../src/drivers/pulsar/source/flow-window.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';

/** A broker with an endless topic: it reads as many entries as there are permits, 100 at most, and takes off what they hold. */
function broker(): { permits: number; round(): number } {
  const state = {
    permits: 0,
    round: () => Math.max(0, Math.min(state.permits, 100)),
  };
  return state;
}

describe('the flow of a lane', () => {
  it('lets one entry come before anything is known of their size', () => {
    expect(new FlowWindow(new ByteBudget(2 ** 24), () => 1).grant()).toBe(1);
  });

  it('never stops while everything is let go of, whatever entries hold', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 20, max: 300_000 }), (messages, bytes) => {
        const budget = new ByteBudget(2 ** 24);
        const flow = new FlowWindow(budget, () => 1);
        const remote = broker();
        for (let rounds = 0; rounds < 40; rounds++) {
          remote.permits += flow.grant();
          const entries = remote.round();
          expect(entries).toBeGreaterThan(0);
          remote.permits -= entries * messages;
          for (let k = 0; k < entries; k++) flow.arrived(bytes, messages);
          for (let k = 0; k < entries; k++) flow.release(bytes);
        }
        flow.reset();
        expect(budget.usedBytes).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('is bounded while nothing is let go of: large entries by what there is room for, small ones by a round', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 20, max: 300_000 }), (messages, bytes) => {
        const flow = new FlowWindow(new ByteBudget(2 ** 24), () => 1);
        const remote = broker();
        let held = 0;
        for (let rounds = 0; rounds < 40; rounds++) {
          remote.permits += flow.grant();
          const entries = remote.round();
          remote.permits -= entries * messages;
          for (let k = 0; k < entries; k++) flow.arrived(bytes, messages);
          held += entries * bytes;
        }
        expect(held).toBeLessThanOrEqual(4 * 2 ** 20 + 100 * 8 * 1024 + 2 * bytes);
      }),
      { numRuns: 100 },
    );
  });

  it.each([16_000, 36_000])(
    'asks seldom for entries of %i bytes and many messages: one command for each would cost as much as they do',
    (bytes) => {
      const flow = new FlowWindow(new ByteBudget(48 * 2 ** 20), () => 8);
      const remote = broker();
      let commands = 0;
      let entries = 0;
      const ask = (): void => {
        const permits = flow.grant();
        remote.permits += permits;
        if (permits > 0) commands++;
      };
      ask();
      while (entries < 2_000) {
        const round = remote.round();
        remote.permits -= round * 100;
        for (let k = 0; k < round; k++) {
          flow.arrived(bytes, 100);
          flow.release(bytes);
          ask();
        }
        entries += round;
      }
      expect(commands).toBeLessThan(entries / 20);
    },
  );

  it('takes one entry even where others have used up the budget, and no more', () => {
    const budget = new ByteBudget(1000);
    const flow = new FlowWindow(budget, () => 1);
    budget.tryTake(1000, true);
    expect(flow.grant()).toBe(1);
    flow.arrived(500, 1);
    expect(flow.grant()).toBe(0);
    flow.release(500);
    expect(flow.grant()).toBe(1);
  });

  it('is the share of the lane: many lanes hold the budget and no more, when all that they were granted comes', () => {
    const budget = new ByteBudget(2 ** 24);
    const flows = Array.from({ length: 64 }, () => new FlowWindow(budget, () => 64));
    const remotes = flows.map(() => broker());
    for (let rounds = 0; rounds < 20; rounds++) {
      for (const [k, flow] of flows.entries()) {
        const remote = remotes[k] ?? broker();
        remote.permits += flow.grant();
        const entries = remote.round();
        remote.permits -= entries * 100;
        for (let each = 0; each < entries; each++) flow.arrived(20_000, 100);
      }
    }
    expect(budget.usedBytes).toBeLessThanOrEqual(2 ** 24 + 64 * 20_000);
  });

  it('leaves the budget alone while nothing comes', () => {
    const budget = new ByteBudget(2 ** 24);
    const flow = new FlowWindow(budget, () => 1);
    flow.grant();
    flow.arrived(1_000, 1);
    flow.release(1_000);
    expect([flow.grant() > 100, budget.usedBytes]).toEqual([true, 0]);
  });

  it('takes back what was counted on when entries do not come', () => {
    const flow = new FlowWindow(new ByteBudget(2 ** 24), () => 1);
    flow.grant();
    flow.arrived(1_000_000, 1000);
    // Three more fit, and are asked for; one comes with so many messages that the permits for all are used up, and stays.
    flow.grant();
    flow.arrived(1_000_000, 1000);
    flow.arrived(1_000_000, 1000);
    expect([flow.granted, flow.unsure, flow.grant()]).toEqual([false, true, 0]);
    flow.settle();
    expect([flow.unsure, flow.grant() > 0]).toEqual([false, true]);
  });
});
