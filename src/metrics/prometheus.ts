import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { LaneLabels, Recorder } from '../spi/recorder.ts';
import { CATALOGUE, LATENCY_BUCKETS, labelsOf, type MetricName } from './catalogue.ts';
import { type GroupRow, publishGroups } from './group-series.ts';
import { LaneTotals } from './lane-totals.ts';

/** Lanes with series of their own. What comes beyond shares one lane per mirror, so that a scrape stays bounded. */
export const MAX_LANES = 2_000;
/** Topic and lane in the labels of what is beyond. No topic is called so. */
export const OTHER = '(other)';

/** A lane as it is now. */
export interface LaneRow {
  readonly key: { readonly link: string; readonly mirror: string };
  readonly status: {
    readonly topic: string;
    readonly lane: string;
    readonly state: string;
    /** `null` while unknown. */
    readonly lagRecords: number | null;
    readonly lagSeconds: number | null;
  };
}

/** Bytes held by the whole process; what is left out has no series. */
export interface HeldBytes {
  readonly readAheadBytes?: number;
  readonly inFlightBytes?: number;
}

export interface Metrics {
  readonly recorder: Recorder;
  /** Where the state of lanes is asked for, at each rendering. */
  watchLanes(rows: () => Iterable<LaneRow>): void;
  watchBytes(read: () => HeldBytes): void;
  watchGroups(rows: () => Iterable<GroupRow>): void;
  /** All series in the text form of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** Metrics of this process: those of the catalogue, and those of Node and the operating system. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const lanes = laneSeries(registry);
  const now = presentSeries(registry);
  const available = gauge(registry, 'stateStoreAvailable');
  // Until somebody has asked the store there is nothing to complain about.
  available.set(1);
  return {
    recorder: { lane: (labels) => lanes.open(labels), stateStore: (is) => available.set(is ? 1 : 0) },
    watchLanes: (rows) => now.watchLanes(rows),
    watchBytes: (read) => now.watchBytes(read),
    watchGroups: (rows) => now.watchGroups(rows),
    async render() {
      lanes.publish();
      now.publish();
      return await registry.metrics();
    },
    contentType: registry.contentType,
  };
}

/** Counters of lanes: published from their totals, so that a closed lane's series are gone the next time. */
function laneSeries(registry: Registry): { open(labels: LaneLabels): LaneTotals; publish(): void } {
  const PLAIN = [
    'readRecords',
    'readBytes',
    'storedRecords',
    'storedBytes',
    'damagedMarkRecords',
    'uncheckedRecords',
    'deadLetters',
    'recoveries',
    'resentRecords',
    'foundRecords',
  ] as const;
  const BY_REASON = ['droppedRecords', 'gaps', 'gapRecords'] as const;
  const plain = PLAIN.map((name) => ({ name, counter: counter(registry, name) }));
  const byReason = BY_REASON.map((name) => ({ name, counter: counter(registry, name) }));
  const restarts = counter(registry, 'laneRestarts');
  const latency = histogram(registry, 'storeLatency', LATENCY_BUCKETS);
  const open = new Set<LaneTotals>();

  return {
    open({ link, mirror, topic, lane }) {
      const labels = open.size < MAX_LANES ? { link, mirror, topic, lane } : { link, mirror, topic: OTHER, lane: OTHER };
      const child = latency.labels({ link, mirror });
      const totals = new LaneTotals(
        labels,
        (seconds) => child.observe(seconds),
        (closed) => {
          open.delete(closed);
          if (![...open].some((each) => each.labels.link === link && each.labels.mirror === mirror))
            latency.remove({ link, mirror });
        },
      );
      open.add(totals);
      return totals;
    },
    publish() {
      for (const each of [...plain, ...byReason]) each.counter.reset();
      restarts.reset();
      for (const totals of open) {
        for (const { name, counter } of plain) counter.inc({ ...totals.labels }, totals[name]);
        for (const { name, counter } of byReason) {
          for (const [reason, value] of totals[name]) counter.inc({ ...totals.labels, reason }, value);
        }
        for (const [code, value] of totals.laneRestarts) restarts.inc({ ...totals.labels, code }, value);
      }
    },
  };
}

/** Gauges of what is now: asked for at each rendering. */
function presentSeries(registry: Registry): Pick<Metrics, 'watchLanes' | 'watchBytes' | 'watchGroups'> & { publish(): void } {
  const lagRecords = gauge(registry, 'lagRecords');
  const lagSeconds = gauge(registry, 'lagSeconds');
  const laneState = gauge(registry, 'laneState');
  const lanes = gauge(registry, 'lanes');
  const groupGauges = {
    age: gauge(registry, 'groupSyncAge'),
    rereads: gauge(registry, 'groupRereads'),
    groups: gauge(registry, 'groups'),
  };
  let rows: () => Iterable<LaneRow> = () => [];
  let groupRows: () => Iterable<GroupRow> = () => [];
  let publishBytes = (): void => undefined;

  const publishLanes = (): void => {
    for (const each of [lagRecords, lagSeconds, laneState, lanes]) each.reset();
    let count = 0;
    const worst = new Map<string, number>();
    for (const { key, status } of rows()) {
      const { link, mirror } = key;
      const own = count++ < MAX_LANES;
      const labels = own ? { link, mirror, topic: status.topic, lane: status.lane } : { link, mirror, topic: OTHER, lane: OTHER };
      lanes.inc({ link, mirror, state: status.state });
      if (own) laneState.set({ ...labels, state: status.state }, 1);
      if (status.lagRecords !== null) lagRecords.inc(labels, status.lagRecords);
      if (status.lagSeconds === null) continue;
      const name = JSON.stringify(labels);
      worst.set(name, Math.max(status.lagSeconds, worst.get(name) ?? 0));
      lagSeconds.set(labels, worst.get(name) ?? 0);
    }
  };
  return {
    watchLanes: (read) => (rows = read),
    watchGroups: (read) => (groupRows = read),
    watchBytes(read) {
      // Made only now: a gauge that nobody sets would say 0.
      const names = (['readAheadBytes', 'inFlightBytes'] as const).filter((name) => read()[name] !== undefined);
      const gauges = names.map((name) => ({ name, gauge: gauge(registry, name) }));
      publishBytes = () => {
        const held = read();
        for (const each of gauges) each.gauge.set(held[each.name] ?? 0);
      };
    },
    publish() {
      publishLanes();
      publishGroups(groupGauges, groupRows());
      publishBytes();
    },
  };
}

function counter(registry: Registry, name: MetricName): Counter {
  return new Counter(definition(registry, name));
}

function gauge(registry: Registry, name: MetricName): Gauge {
  return new Gauge(definition(registry, name));
}

function histogram(registry: Registry, name: MetricName, buckets: readonly number[]): Histogram {
  return new Histogram({ ...definition(registry, name), buckets: [...buckets] });
}

function definition(
  registry: Registry,
  of: MetricName,
): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
  const { name, help } = CATALOGUE[of];
  return { name, help, labelNames: labelsOf(CATALOGUE[of]), registers: [registry] };
}
