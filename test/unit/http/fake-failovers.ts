import type { FailoverControl, FailoverPlan, FailoverRequest, FailoverStatus } from '../../../src/control/failover/api.ts';
import { IsthmusError } from '../../../src/errors.ts';

/** Failovers whose outcome the test says. */
export interface FakeFailovers extends FailoverControl {
  readonly requests: FailoverRequest[];
  outcome: Partial<FailoverStatus>;
}

export const PLAN: FailoverPlan = {
  link: 'east-west',
  from: 'rmq-east',
  to: 'pulsar-west',
  kind: 'planned',
  at: 2_000,
  sourceAt: 1_000,
  sourceAway: null,
  groups: [],
  atRisk: [{ mirror: 'orders', topic: 'orders-eu', lane: 'broker-a:3', next: '7', end: '9', records: 2 }],
  blockers: [],
  pending: [],
  warnings: ['billing has 2 consumers'],
};

export function fakeFailovers(): FakeFailovers {
  let latest: FailoverStatus | undefined;
  const fake: FakeFailovers = {
    requests: [],
    outcome: {},
    plan: (link, kind) => Promise.resolve({ ...PLAN, link, kind }),
    start: (request) => {
      if (latest?.state === 'running')
        return Promise.reject(new IsthmusError('CONFLICT', 'beginning a failover: one is running'));
      fake.requests.push(request);
      const { link, kind } = request;
      latest = {
        id: '1-abc',
        link,
        kind,
        state: 'running',
        step: 'fence',
        steps: [{ step: 'fence', startedAt: 3_000, endedAt: null, detail: '' }],
        plan: { ...PLAN, link, kind },
        certificate: null,
        trouble: null,
      };
      return Promise.resolve(latest);
    },
    status: (link) =>
      latest === undefined
        ? Promise.reject(new IsthmusError('NOT_FOUND', `looking for a failover of ${link}: there was none`))
        : Promise.resolve({ ...latest, ...fake.outcome }),
    abort: async (link) => {
      latest = { ...(await fake.status(link)), state: 'aborted' };
      return latest;
    },
  };
  return fake;
}
