import { describe, expect, it } from 'vitest';
import { PartitionEnds } from '../../../src/mirror/partition-ends.ts';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { Progress } from '../../../src/mirror/progress.ts';
import { BEFORE_ALL, entryPosition, offsetPosition, type Position } from '../../../src/model/position.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';

const PLAN = { lane: { topic: 'orders', lane: 'a:0' }, targetTopic: 'copy', partitions: [0] };

const NOTHING = { stored: new PositionSet(), targets: new Map(), found: [], foundRecords: 0, entriesRead: 0 };

describe('what is kept of a lane', () => {
  it.each([
    ['its last message', offsetPosition(40), offsetPosition(46)],
    ['its entry', entryPosition(3, 40, 0), entryPosition(3, 40, 0)],
  ])('names as the newest place of a batch %s', (_, target, newest) => {
    const progress = new Progress(PLAN, new VirtualTime().clock());
    const from = offsetPosition(0);
    progress.begin({ ...NOTHING, from }).begin(from, offsetPosition(9), 0, 9);
    const runs = [
      { first: from, count: 5 },
      { first: offsetPosition(7), count: 2 },
    ];
    progress.stored({ runs, partition: 0, target });
    expect(progress.newest.get(0)).toEqual(newest);
  });

  it('does not pass what somebody still has to hear of', () => {
    const progress = new Progress(PLAN, new VirtualTime().clock());
    const from = offsetPosition(0);
    const watermark = progress.begin({ ...NOTHING, from });
    progress.confirm();
    let held: Position | undefined = offsetPosition(2);
    progress.holdBy(() => held);
    watermark.begin(from, offsetPosition(5), 0, 5);
    progress.stored({ runs: [{ first: from, count: 5 }], partition: 0, target: offsetPosition(40) });
    const [early, place] = [progress.take(true)?.checkpoint, progress.place];
    expect([early?.next, early?.targets['copy#0'], place]).toEqual([held, undefined, held]);
    expect(progress.next).toEqual(offsetPosition(5));
    held = undefined;
    progress.markDirty();
    expect(progress.take(true)?.checkpoint).toMatchObject({ next: offsetPosition(5), targets: { 'copy#0': offsetPosition(44) } });
  });

  it('follows what other lanes store in its partitions while it stands still, and only then', () => {
    const time = new VirtualTime();
    const ends = new PartitionEnds();
    const progress = new Progress(PLAN, time.clock(), ends);
    const watermark = progress.begin({ ...NOTHING, from: offsetPosition(0), targets: new Map([[0, offsetPosition(3)]]) });
    progress.confirm();
    ends.note('copy#0', offsetPosition(90));
    watermark.begin(offsetPosition(0), offsetPosition(5), 0, 5);
    expect(progress.take(true)?.checkpoint.targets['copy#0']).toEqual(offsetPosition(3));
    progress.stored({ runs: [{ first: offsetPosition(0), count: 5 }], partition: 0, target: offsetPosition(91) });
    ends.note('copy#0', offsetPosition(120));
    expect(progress.take(true)?.checkpoint.targets['copy#0']).toEqual(offsetPosition(120));
  });

  it('says from where on the index is complete: from the beginning of a new lane, after what has no place, and anew in an emptied store', () => {
    const progress = new Progress(PLAN, new VirtualTime().clock());
    const watermark = progress.begin({ ...NOTHING, from: offsetPosition(0), isNew: true });
    progress.confirm();
    expect(progress.take(true)?.checkpoint).toMatchObject({ indexedFrom: BEFORE_ALL });
    progress.onUnplaced(offsetPosition(2));
    progress.markDirty();
    expect(progress.take(true)?.checkpoint).toMatchObject({ indexedFrom: { major: 2, index: 0 }, cuts: 'direct' });
    watermark.begin(offsetPosition(0), offsetPosition(5), 0, 5);
    progress.stored({ runs: [{ first: offsetPosition(0), count: 5 }], partition: 0, target: offsetPosition(40) });
    progress.rewrite();
    expect(progress.take(true)?.checkpoint).toMatchObject({ next: offsetPosition(5), indexedFrom: offsetPosition(5) });
  });
});
