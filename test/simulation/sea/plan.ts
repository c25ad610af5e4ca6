import { type Faults, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { type MirrorSpec, PLAIN_RULES } from '../../../src/model/mirror-spec.ts';
import { SeededRandom } from '../random.ts';

export type ClusterKind = 'queue' | 'entry';

export interface ClusterPlan {
  readonly name: string;
  readonly kind: ClusterKind;
  readonly lanes: number;
  /** Whether applications write there. */
  readonly writes: boolean;
}

export interface LinkPlan {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly spec: MirrorSpec;
}

/** What happens while records flow. */
export const SEA_EVENTS = [
  'kill',
  'roll',
  'second-process',
  'freeze',
  'clock-step',
  'restart',
  'store-emptied',
  'all-wiped',
  'store-away',
  'broker-away',
  'target-away',
  'kick',
  'grow',
  'respec',
] as const;
export type SeaEvent = (typeof SEA_EVENTS)[number];

/** The second is left out where the first happens. */
const NOT_WITH: readonly (readonly [SeaEvent, SeaEvent])[] = [
  // A changed rule is for all processes at once.
  ['respec', 'second-process'],
  ['respec', 'roll'],
  // Processes that find the store emptied cannot agree on partitions that have no marks yet.
  ['store-emptied', 'grow'],
  ['all-wiped', 'grow'],
];

export const SHAPES = ['one way', 'both ways', 'ring', 'diamond'] as const;
export type Shape = (typeof SHAPES)[number];

/** From which cluster to which. Two ways lead to the last one of a diamond. */
const WAYS: Readonly<Record<Shape, readonly (readonly [string, string])[]>> = {
  'one way': [['a', 'b']],
  'both ways': [
    ['a', 'b'],
    ['b', 'a'],
  ],
  ring: [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'a'],
  ],
  diamond: [
    ['a', 'b'],
    ['a', 'c'],
    ['b', 'd'],
    ['c', 'd'],
  ],
};

/**
 * Where two ways lead to a cluster, only the window keeps them apart: what moves the clock by which claims end is not promised to go well. Nor is the order of a key whose topic
 * grew in another order on each way, nor what a process that stands still has on its way while the window is emptied.
 */
const NOT_IN_DIAMONDS: readonly SeaEvent[] = ['clock-step', 'grow'];
const NOT_WITH_IN_DIAMONDS: readonly (readonly [SeaEvent, SeaEvent])[] = [
  ['store-emptied', 'freeze'],
  ['all-wiped', 'freeze'],
];

/** Clusters, links between them, and what happens to them: all drawn from the seed. */
export interface SeaPlan {
  readonly seed: number;
  readonly shape: Shape;
  readonly clusters: readonly ClusterPlan[];
  readonly links: readonly LinkPlan[];
  /** With a secret, applications forge marks. */
  readonly sealed: boolean;
  readonly faults: Faults;
  readonly chaosMillis: number;
  readonly records: number;
  readonly keys: number;
  readonly budgetBytes: number;
  readonly events: readonly { readonly at: number; readonly kind: SeaEvent }[];
}

export const TOPIC = 'orders';

export function makeSeaPlan(seed: number): SeaPlan {
  const random = new SeededRandom(seed ^ 0x5ea);
  const shape = SHAPES[seed % SHAPES.length] ?? 'one way';
  const chaosMillis = random.between(3, 25) * 1000;
  const diamond = shape === 'diamond';
  const byKey = random.chance(0.3);
  const lanes = random.between(1, 3);
  const names = [...new Set(WAYS[shape].flat())].sort();
  const clusters = names.map((name, i) => ({
    name,
    kind: random.pick(['queue', 'entry'] as const),
    // The growing of a topic moves keys: where routing is by key, all have the same number of lanes from the beginning.
    lanes: byKey || diamond ? lanes : random.between(1, 3),
    writes: (shape !== 'one way' && !diamond) || i === 0,
  }));
  const dedup = diamond || random.chance(0.4) ? { ...DEDUP, onStateLoss: drawOnLoss(random, diamond) } : undefined;
  const drawn = WAYS[shape].map(([from, to]) => ({
    name: `${from}-${to}`,
    from,
    to,
    spec: { ...drawSpec(random, shape, byKey), dedup },
  }));
  // On both ways a key has to come to the same partition.
  const [first] = drawn;
  const links = drawn.map((link) =>
    diamond && first !== undefined ? { ...link, spec: { ...link.spec, routing: first.spec.routing } } : link,
  );
  const wanted = SEA_EVENTS.filter(
    (kind) => random.chance(0.35) && !(kind === 'grow' && byKey) && !(diamond && NOT_IN_DIAMONDS.includes(kind)),
  );
  // A process that stands still matters where another one waits for its lanes.
  if (wanted.includes('freeze') && !wanted.includes('respec')) wanted.push('second-process');
  const notWith = diamond ? [...NOT_WITH, ...NOT_WITH_IN_DIAMONDS] : NOT_WITH;
  const kinds = wanted.filter((kind) => !notWith.some(([one, other]) => kind === other && wanted.includes(one)));
  const count = kinds.length === 0 ? 0 : random.between(0, 7);
  const events = Array.from({ length: count }, () => ({ at: random.next() * chaosMillis, kind: random.pick(kinds) }));
  return {
    seed,
    shape,
    clusters,
    links,
    sealed: random.chance(0.5),
    faults: drawFaults(random),
    chaosMillis,
    records: random.between(10, 150),
    keys: random.between(1, 8),
    budgetBytes: random.between(1, 30) * 1000,
    events: events.toSorted((one, other) => one.at - other.at),
  };
}

const DEDUP = { windowMillis: 3_600_000, maxIds: 1_000_000, id: { kind: 'origin' } } as const;

/** A window that may be gone for a while keeps no two ways apart. */
function drawOnLoss(random: SeededRandom, diamond: boolean): 'stop' | 'continue' {
  return random.chance(0.5) || diamond ? 'stop' : 'continue';
}

function drawSpec(random: SeededRandom, shape: Shape, byKey: boolean): MirrorSpec {
  return {
    name: 'm',
    topics: [TOPIC],
    exclude: [],
    rename: shape === 'one way' && random.chance(0.5) ? '{topic}-copy' : '{topic}',
    start: 'earliest',
    routing: byKey && random.chance(0.7) ? { mode: 'key', by: { kind: 'default' }, partitions: undefined } : { mode: 'identity' },
    filter: { tags: shape === 'one way' && random.chance(0.25) ? ['paid'] : [], properties: {} },
    onBadRecord: 'stop-lane',
    deadLetterTopic: '{topic}-dead',
    batching: random.pick(['auto', 'mixed', 'mixed', 'per-key'] as const),
    compression: 'none',
    retentionMinutes: undefined,
    ...PLAIN_RULES,
  };
}

function drawFaults(random: SeededRandom): Faults {
  if (random.chance(0.2)) return NO_FAULTS;
  const upTo = (limit: number): number => (random.chance(0.5) ? random.next() * limit : 0);
  return {
    lostRequests: upTo(0.08),
    lostReplies: upTo(0.08),
    brokenSends: upTo(0.12),
    writersGiveUp: random.next(),
    refusals: false,
    maxDelayMillis: random.pick([1, 5, 50, 200]),
  };
}

/** Runs of one kind of trouble, again and again, where it is most likely to show. */
export const FOCI = ['whole and apart', 'standing still', 'all wiped', 'emptied'] as const;
export type Focus = (typeof FOCI)[number];

export function focusOn(focus: Focus, plan: SeaPlan): SeaPlan {
  if (focus === 'all wiped') return onlyWiped(plan);
  if (focus === 'emptied') return onlyEmptied(plan);
  const [kinds, millis]: [readonly SeaEvent[], number] =
    focus === 'whole and apart'
      ? [['respec', 'respec', 'respec', 'respec'], 20_000]
      : [['second-process', 'freeze', 'freeze', 'freeze'], 120_000];
  const clusters = plan.clusters.map((cluster, i) => {
    const kind: ClusterKind = focus === 'whole and apart' || i === 0 ? 'entry' : 'queue';
    return { ...cluster, kind };
  });
  const links = plan.links.map((link) => {
    const filter = { tags: [], properties: {} };
    return { ...link, spec: { ...link.spec, routing: { mode: 'identity' as const }, filter, batching: 'per-key' as const } };
  });
  return {
    ...plan,
    clusters,
    links,
    chaosMillis: millis,
    faults: { ...plan.faults, maxDelayMillis: 50 },
    events: kinds.map((kind, i) => ({ at: ((i + 0.5) / kinds.length) * millis, kind })),
  };
}

/** Three partitions behind a lane, and soon after it has begun nothing is left but the marks. */
function onlyWiped(plan: SeaPlan): SeaPlan {
  const links = plan.links.map((link) => {
    const routing = { mode: 'key' as const, by: { kind: 'default' as const }, partitions: undefined };
    return { ...link, spec: { ...link.spec, routing } };
  });
  return {
    ...plan,
    clusters: plan.clusters.map((cluster) => ({ ...cluster, lanes: 3 })),
    links: plan.shape === 'diamond' ? links.slice(0, 1) : links,
    chaosMillis: 12_000,
    faults: { ...plan.faults, brokenSends: 0.3, writersGiveUp: 0.5, maxDelayMillis: 50 },
    events: [200, 6_000].map((at) => ({ at, kind: 'all-wiped' })),
  };
}

/** Windows that lose what they know while the ways are busy. */
function onlyEmptied(plan: SeaPlan): SeaPlan {
  const links = plan.links.map((link) => ({
    ...link,
    spec: { ...link.spec, dedup: { ...DEDUP, onStateLoss: 'stop' as const } },
  }));
  const kinds: readonly SeaEvent[] = ['store-emptied', 'target-away', 'store-emptied', 'kill'];
  const events = kinds.map((kind, i) => ({ at: 3_000 + i * 9_000, kind }));
  return { ...plan, links, chaosMillis: 40_000, faults: { ...plan.faults, maxDelayMillis: 50 }, events };
}
