import { describe, expect, it } from 'vitest';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { Progress } from '../../../src/mirror/progress.ts';
import { offsetPosition, type Position } from '../../../src/model/position.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';

const PLAN = { lane: { topic: 'orders', lane: 'a:0' }, targetTopic: 'copy', partitions: [0] };

describe('what is kept of a lane', () => {
  it('does not pass what somebody still has to hear of', () => {
    const progress = new Progress(PLAN, new VirtualTime().clock());
    const from = offsetPosition(0);
    const watermark = progress.begin({
      from,
      stored: new PositionSet(),
      targets: new Map(),
      found: [],
      foundRecords: 0,
      entriesRead: 0,
    });
    progress.confirm();
    let held: Position | undefined = offsetPosition(2);
    progress.holdBy(() => held);
    watermark.begin(from, offsetPosition(5), 0, 5);
    progress.stored({ runs: [{ first: from, count: 5 }], partition: 0, target: offsetPosition(40) });
    const [early, place] = [progress.take()?.checkpoint, progress.place];
    expect([early?.next, early?.targets['copy#0'], place]).toEqual([held, undefined, held]);
    expect(progress.next).toEqual(offsetPosition(5));
    held = undefined;
    progress.markDirty();
    expect(progress.take()?.checkpoint).toMatchObject({ next: offsetPosition(5), targets: { 'copy#0': offsetPosition(40) } });
  });
});
