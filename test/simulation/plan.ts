import { type Faults, NO_FAULTS } from '../../src/drivers/memory/network.ts';
import { type FilterRule, type MirrorSpec, PLAIN_RULES, type RoutingRule } from '../../src/model/mirror-spec.ts';
import { SeededRandom } from './random.ts';

/** What happens to the world while records flow. */
export const EVENTS = [
  'kill',
  'roll',
  'pause',
  'restart',
  'store-emptied',
  'store-away',
  'broker-away',
  'new-queues',
  'expire',
  'kick',
  'trim',
  'second-process',
  'target-away',
  'reroute',
] as const;
export type EventKind = (typeof EVENTS)[number];

/** The second is left out where the first happens: what the two do together is not promised. */
const NOT_WITH: readonly (readonly [EventKind, EventKind])[] = [
  // What retention has taken from the target can no longer tell what was stored.
  ['trim', 'store-emptied'],
  ['trim', 'store-away'],
  // A changed routing is for all processes at once, and its former partitions are known by the checkpoint.
  ['reroute', 'second-process'],
  ['reroute', 'roll'],
  ['reroute', 'kill'],
  ['reroute', 'new-queues'],
  ['reroute', 'store-emptied'],
  ['reroute', 'store-away'],
];

/** One simulated run, all of it drawn from its seed. */
export interface Plan {
  readonly seed: number;
  readonly topics: readonly string[];
  readonly brokers: readonly { readonly name: string; readonly queues: number }[];
  readonly spec: MirrorSpec;
  readonly faults: Faults;
  /** Milliseconds of virtual time during which records come and faults happen. */
  readonly chaosMillis: number;
  readonly records: number;
  readonly keys: number;
  readonly badRecords: number;
  readonly budgetBytes: number;
  readonly events: readonly { readonly at: number; readonly kind: EventKind }[];
}

export function makePlan(seed: number): Plan {
  const random = new SeededRandom(seed);
  const chaosMillis = random.between(5, 40) * 1000;
  const onBadRecord = random.pick(['stop-lane', 'dead-letter'] as const);
  const start = random.chance(0.2) ? 'latest' : 'earliest';
  const kinds = EVENTS.filter(() => random.chance(0.35));
  const several = kinds.includes('second-process') || kinds.includes('roll');
  const usual = kinds
    .filter((kind) => !NOT_WITH.some(([one, other]) => kind === other && kinds.includes(one)))
    // Two processes that find the store emptied while a broker comes cannot agree on partitions that have no marks yet.
    .filter((kind) => kind !== 'new-queues' || !(several && kinds.includes('store-emptied')));
  const count = usual.length === 0 ? 0 : random.between(0, 8);
  const events = Array.from({ length: count }, () => ({ at: random.next() * chaosMillis, kind: random.pick(usual) }));
  return {
    seed,
    topics: random.chance(0.3) ? ['orders', 'orders-b'] : ['orders'],
    brokers: Array.from({ length: random.between(1, 2) }, (_, i) => ({
      name: `broker-${'bc'[i]}`,
      queues: random.between(1, 3),
    })),
    spec: {
      name: 'm',
      topics: ['orders*'],
      exclude: [],
      rename: '{topic}-copy',
      start,
      routing: drawRouting(random),
      filter: drawFilter(random),
      onBadRecord,
      deadLetterTopic: '{topic}-dead',
      batching: random.pick(['auto', 'mixed', 'per-key'] as const),
      compression: 'none',
      retentionMinutes: undefined,
      ...PLAIN_RULES,
    },
    faults: drawFaults(random),
    chaosMillis,
    records: random.between(20, 400),
    keys: random.between(1, 12),
    badRecords: random.chance(0.3) ? random.next() * 0.05 : 0,
    budgetBytes: random.between(1, 30) * 1000,
    events: events.toSorted((a, b) => a.at - b.at),
  };
}

function drawRouting(random: SeededRandom): RoutingRule {
  if (random.chance(0.5)) return { mode: 'identity' };
  return { mode: 'key', by: { kind: 'default' }, partitions: random.chance(0.5) ? random.between(1, 5) : undefined };
}

function drawFilter(random: SeededRandom): FilterRule {
  return {
    tags: random.chance(0.2) ? ['paid'] : [],
    properties: random.chance(0.15) ? { zone: ['a', 'b'] } : {},
  };
}

function drawFaults(random: SeededRandom): Faults {
  if (random.chance(0.15)) return { ...NO_FAULTS, refusals: true };
  const upTo = (limit: number): number => (random.chance(0.5) ? random.next() * limit : 0);
  return {
    lostRequests: upTo(0.1),
    lostReplies: upTo(0.1),
    brokenSends: upTo(0.15),
    writersGiveUp: random.next(),
    refusals: true,
    maxDelayMillis: random.pick([1, 5, 50, 400]),
  };
}
