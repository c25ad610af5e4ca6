import type { VerificationControl, VerificationRequest, VerificationStatus } from '../../../src/control/verification/api.ts';
import { IsthmusError } from '../../../src/errors.ts';

/** Comparisons whose outcome the test says. */
export interface FakeVerifications extends VerificationControl {
  readonly requests: VerificationRequest[];
  readonly cancelled: string[];
  /** What each question after a comparison is answered with; the last answer stays. */
  outcomes: Partial<VerificationStatus>[];
}

const NONE = { missing: 0, doubled: 0, changed: 0, reordered: 0, unexpected: 0 };

export function statusOf(
  id: string,
  request: VerificationRequest,
  changes: Partial<VerificationStatus> = {},
): VerificationStatus {
  return {
    id,
    request,
    state: 'running',
    phase: 'reading-source',
    startedAt: 1_000,
    endedAt: null,
    topics: ['orders-eu'],
    progress: {
      topic: 'orders-eu',
      topicsDone: 0,
      sourceRecords: 1_200,
      sourceTotal: 20_000,
      targetRecords: 0,
      blocks: 2,
      unequalBlocks: 0,
      comparedRecords: 0,
    },
    counts: NONE,
    mayHaveExpired: 0,
    absences: {},
    minutes: [],
    differences: [],
    repair: null,
    notes: [],
    trouble: null,
    ...changes,
  };
}

/** One of each kind, as a comparison reports it. */
export const DIFFERENT: Partial<VerificationStatus> = {
  state: 'different',
  phase: 'done',
  endedAt: 5_000,
  counts: { missing: 2, doubled: 1, changed: 1, reordered: 1, unexpected: 1 },
  mayHaveExpired: 1,
  absences: { tag: 7, expired: 3 },
  minutes: [{ minute: 1_760_000_040_000, counts: { ...NONE, missing: 2, doubled: 1, changed: 1, reordered: 1 } }],
  differences: (['missing', 'doubled', 'changed', 'reordered', 'unexpected'] as const).map((kind, i) => ({
    kind,
    topic: 'orders-eu',
    lane: 'broker-a:3',
    position: String(100 + i),
    time: kind === 'unexpected' ? null : 1_760_000_050_000,
    target: kind === 'missing' ? [] : [{ lane: '3', position: `812:${i}:0` }],
    behind: kind === 'reordered' ? '110' : null,
    mayHaveExpired: kind === 'missing',
  })),
  repair: { stored: 1, found: 0, left: 0 },
  notes: ['orders-eu broker-a:4: it has not begun, so nothing of it is compared'],
};

export function fakeVerifications(): FakeVerifications {
  const kept = new Map<string, VerificationStatus>();
  const find = (id: string): VerificationStatus => {
    const found = kept.get(id);
    if (found === undefined) throw new IsthmusError('NOT_FOUND', 'looking for a verification: there is none of this id');
    return found;
  };
  const fake: FakeVerifications = {
    requests: [],
    cancelled: [],
    outcomes: [],
    start(request) {
      if (request.key.mirror === 'busy') throw new IsthmusError('CONFLICT', 'starting a verification: 2 run already');
      if (request.key.mirror === 'none') throw new IsthmusError('NOT_FOUND', 'looking for the mirror: there is none');
      fake.requests.push(request);
      const status = statusOf(`${kept.size + 1}-abc123`, request);
      kept.set(status.id, status);
      return status;
    },
    list: () => [...kept.values()].reverse(),
    get(id) {
      const [next] = fake.outcomes.length > 1 ? fake.outcomes.splice(0, 1) : fake.outcomes;
      return { ...find(id), ...next };
    },
    remove(id) {
      find(id);
      fake.cancelled.push(id);
    },
  };
  return fake;
}
