import type { ReplayControl, ReplayRequest, ReplayStatus } from '../../../src/control/replay/api.ts';
import { IsthmusError } from '../../../src/errors.ts';

/** Replays whose outcome the test says. */
export interface FakeReplays extends ReplayControl {
  readonly requests: ReplayRequest[];
  cancelled: number;
  /** What each question is answered with; the last answer stays. */
  outcomes: Partial<ReplayStatus>[];
}

export const REPLAYED: Partial<ReplayStatus> = {
  state: 'done',
  endedAt: 2_000,
  topics: [
    {
      topic: 'orders-eu',
      deadLetterTopic: 'persistent://public/default/orders-eu-dead-letter',
      targetTopic: 'persistent://public/default/orders-eu',
      found: 3,
      unfit: 1,
      stored: 0,
      replayed: 2,
      refused: 1,
    },
  ],
  letters: [
    {
      deadLetterTopic: 'persistent://public/default/orders-eu-dead-letter',
      at: '0 812:45',
      topic: 'orders-eu',
      lane: 'broker-a:3',
      position: '125000',
      reason: 'it has 9000000 bytes',
      stored: false,
    },
  ],
};

export function fakeReplays(): FakeReplays {
  let last: ReplayStatus | undefined;
  const find = (): ReplayStatus => {
    if (last === undefined) throw new IsthmusError('NOT_FOUND', 'looking for a replay: there was none');
    return last;
  };
  const fake: FakeReplays = {
    requests: [],
    cancelled: 0,
    outcomes: [],
    start(request) {
      if (request.key.mirror === 'busy') throw new IsthmusError('CONFLICT', 'starting a replay: one runs already');
      fake.requests.push(request);
      last = { request, state: 'running', startedAt: 1_000, endedAt: null, topics: [], letters: [], trouble: null };
      return last;
    },
    get() {
      const [next] = fake.outcomes.length > 1 ? fake.outcomes.splice(0, 1) : fake.outcomes;
      return { ...find(), ...next };
    },
    cancel() {
      fake.cancelled++;
      return find();
    },
  };
  return fake;
}
