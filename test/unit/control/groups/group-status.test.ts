import { describe, expect, it } from 'vitest';
import { placeStatus } from '../../../../src/control/groups/group-status.ts';
import type { FollowedTopic } from '../../../../src/control/groups/topic-views.ts';
import type { TranslatedPlace } from '../../../../src/mirror/groups/translation.ts';
import { offsetPosition } from '../../../../src/model/position.ts';

const FOLLOWED = {
  mirror: { key: { link: 'l', mirror: 'm' } },
  topic: 't',
  targetTopic: 't',
  targetLanes: ['broker-a:0'],
} as unknown as FollowedTopic;

const EXACT: TranslatedPlace = {
  partition: 0,
  kind: 'exact',
  next: offsetPosition(5),
  done: [{ from: offsetPosition(7), to: offsetPosition(10), records: 3 }],
  rereads: 0,
  counted: true,
};

describe('what is said of a place', () => {
  const moved = (rereads: number) => ({
    moved: new Map([[0, { lane: 'broker-a:0', outcome: 'applied' as const, next: offsetPosition(5), rereads }]]),
  });

  it('is exact where the target keeps the holes', () => {
    expect(placeStatus(FOLLOWED, EXACT, moved(0))).toMatchObject({ kind: 'exact', rereads: 0, outcome: 'applied' });
  });

  it('counts the holes that the target does not keep, or that nobody has tried to keep', () => {
    expect(placeStatus(FOLLOWED, EXACT, moved(3))).toMatchObject({ kind: 'floor', rereads: 3 });
    expect(placeStatus(FOLLOWED, EXACT, undefined)).toMatchObject({ kind: 'floor', rereads: 3 });
  });

  it.each(['failed', 'ahead', 'active'] as const)('has no number where the group is not there: %s', (outcome) => {
    const lane = { lane: 'broker-a:0', outcome, next: undefined, rereads: undefined };
    const status = placeStatus(FOLLOWED, EXACT, { moved: new Map([[0, lane]]) });
    expect(status).toMatchObject({ kind: 'exact', rereads: null, outcome });
    expect(placeStatus(FOLLOWED, EXACT, { failed: 'no answer' })).toMatchObject({ rereads: null, reason: 'no answer' });
  });

  it('has no number where the group was brought back by force, as it reads again what it had done at the target', () => {
    const lane = { lane: 'broker-a:0', outcome: 'applied' as const, next: offsetPosition(5), rereads: 3, movedBack: true };
    expect(placeStatus(FOLLOWED, EXACT, { moved: new Map([[0, lane]]) })).toMatchObject({ rereads: null, outcome: 'applied' });
  });

  it('is never exact, and has no number, where the source cannot tell how far the group is', () => {
    expect(placeStatus(FOLLOWED, EXACT, moved(0), true)).toMatchObject({ kind: 'floor', rereads: null, next: '5' });
  });
});
