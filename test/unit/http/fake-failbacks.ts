import type { FailbackControl, FailbackListing, FailbackRequest, FailbackView } from '../../../src/control/failback/api.ts';
import { IsthmusError } from '../../../src/errors.ts';

/** Failbacks whose outcome the test says: what GET answers, one after the other, the last one again and again. */
export interface FakeFailbacks extends FailbackControl {
  readonly requests: FailbackRequest[];
  outcomes: Partial<FailbackView>[];
}

const PLACE = { mirror: 'orders', topic: 'orders-eu' };

export const LISTING: FailbackListing = {
  id: '2-abc',
  failover: '1-abc',
  since: 1_000,
  at: 2_000,
  records: 3,
  unkeyed: 1,
  keys: 2,
  untracked: 0,
  conflicts: 1,
  lanes: [{ ...PLACE, lane: 'broker-a:3', from: '7', end: '11', records: 3, stored: 1, fromTarget: 0, filtered: 0 }],
  listed: [
    { ...PLACE, lane: 'broker-a:3', position: '7', time: 1_500, key: 'k1' },
    { ...PLACE, lane: 'broker-a:3', position: '9', time: 1_600, key: 'k2' },
    { ...PLACE, lane: 'broker-a:3', position: '10', time: 1_700, key: null },
  ],
  keyList: [
    { ...PLACE, targetTopic: 'copy', key: 'k1', records: 1, newest: 1_500, onTarget: 2, newestOnTarget: 1_900 },
    { ...PLACE, targetTopic: 'copy', key: 'k2', records: 1, newest: 1_600, onTarget: 0, newestOnTarget: null },
  ],
  notes: ['a note'],
};

export function fakeFailbacks(): FakeFailbacks {
  let latest: FailbackView | undefined;
  const fake: FakeFailbacks = {
    requests: [],
    outcomes: [],
    start: (request) => {
      if (latest?.state === 'running' && fake.outcomes.length === 0)
        return Promise.reject(new IsthmusError('CONFLICT', 'failing back: a failback of it runs'));
      fake.requests.push(request);
      const { link, policy = null, reviewTopic = null } = request;
      latest = {
        link,
        from: 'rmq-east',
        to: 'pulsar-west',
        state: 'running',
        phase: 'listing',
        policy,
        reviewTopic,
        startedAt: 1_000,
        endedAt: null,
        topic: '',
        read: 0,
        reviewed: 0,
        resumed: [],
        listing: null,
        trouble: null,
        reverse: [],
        next: [],
      };
      return Promise.resolve(latest);
    },
    status: (link) => {
      const outcome = fake.outcomes.length > 1 ? fake.outcomes.shift() : fake.outcomes[0];
      return latest === undefined
        ? Promise.reject(new IsthmusError('NOT_FOUND', `looking for a failback of ${link}: there was none`))
        : Promise.resolve((latest = { ...latest, ...outcome }));
    },
    cancel: async (link) => {
      latest = { ...(await fake.status(link)), state: 'cancelled' };
      return latest;
    },
  };
  return fake;
}
