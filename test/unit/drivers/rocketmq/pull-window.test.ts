import { beforeEach, describe, expect, it } from 'vitest';
import { type PullRange, PullWindow } from '../../../../src/drivers/rocketmq/pull-window.ts';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import { FramePool } from '../../../../src/lib/frame-pool.ts';
import { range } from './kit.ts';
import { storedMessage } from './stored-message.ts';

describe('the window of a lane', () => {
  let budget: ByteBudget;
  let window: PullWindow;

  beforeEach(() => {
    budget = new ByteBudget(10_000);
    window = new PullWindow(100, budget, new FramePool());
  });

  function add(to: number, bytes: number): PullRange {
    if (!window.tryCharge(bytes)) throw new Error('no room');
    return window.add(to, bytes);
  }

  function fill(into: PullRange, from: number, to: number): void {
    into.waiting = false;
    window.fill(into, messages(from, to), to, undefined);
  }

  const messages = (from: number, to: number): Buffer =>
    Buffer.concat(range(from, to).map((offset) => storedMessage({ offset })));
  const spans = (): number[][] => window.ranges.map(({ from, to }) => [from, to]);

  it('holds ranges without holes between them', () => {
    add(132, 100);
    add(164, 100);
    expect(spans()).toEqual([
      [100, 132],
      [132, 164],
    ]);
    expect([window.end, window.waiting, budget.usedBytes]).toEqual([164, true, 200]);
  });

  it('charges what an answer really takes, and gives the rest back when the range is complete', () => {
    const first = add(104, 900);
    const body = messages(100, 104);
    window.fill(first, body, 104, undefined);
    expect(budget.usedBytes).toBe(body.length);
    window.cutAll();
    expect(budget.usedBytes).toBe(0);
  });

  it('charges more when an answer is larger than was thought', () => {
    const first = add(104, 10);
    const body = messages(100, 104);
    window.fill(first, body, 104, undefined);
    expect(budget.usedBytes).toBe(body.length);
  });

  it('keeps after an interruption what was answered without a hole, of a half answered range as well', () => {
    const [first, second, third] = [add(104, 100), add(108, 100), add(112, 100)];
    fill(first, 100, 104);
    fill(third, 108, 112);
    fill(second, 104, 106);
    window.cutIncomplete();
    expect(spans()).toEqual([
      [100, 104],
      [104, 106],
    ]);
    expect([second.dropped, third.dropped, window.end, window.waiting]).toEqual([true, true, 106, false]);
    expect(window.lastWaiting()).toMatchObject({ offset: 105 });
    window.cutAll();
    expect(budget.usedBytes).toBe(0);
  });

  it('ends a range with a gap and drops what was asked for behind it', () => {
    const first = add(132, 100);
    const second = add(164, 100);
    fill(first, 100, 104);
    window.endWithGap(first, 120, 'expired');
    expect(spans()).toEqual([[100, 120]]);
    expect(first.pieces.at(-1)).toEqual({ kind: 'gap', from: 104, to: 120, reason: 'expired' });
    expect([second.dropped, window.end]).toEqual([true, 120]);
  });

  // Whoever is woken may pull on at once: a range added at the old end would leave a hole that looks like lost records.
  it.each([
    ['a gap', (first: PullRange) => window.endWithGap(first, 120, 'expired'), 120],
    ['a complete range', (first: PullRange) => fill(first, 100, 132), 164],
    ['an interruption', () => window.cutIncomplete(), 100],
  ])('has its new end already when the bytes given back by %s wake somebody', (_, change, end) => {
    const first = add(132, 5_000);
    add(164, 5_000);
    const seen: number[] = [];
    window.whenRoom(() => seen.push(window.end));
    change(first);
    expect(new Set(seen)).toEqual(new Set([end]));
  });

  it('cannot drop a range twice', () => {
    const first = add(132, 100);
    window.cutFrom(first);
    window.cutFrom(first);
    expect([budget.usedBytes, window.empty, window.end]).toEqual([0, true, 100]);
  });
});
