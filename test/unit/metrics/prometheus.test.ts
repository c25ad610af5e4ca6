import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { metricsDocument } from '../../../scripts/generate-metrics-doc.ts';
import { CATALOGUE, labelsOf } from '../../../src/metrics/catalogue.ts';
import { createMetrics, type LaneRow, MAX_LANES } from '../../../src/metrics/prometheus.ts';

const LABELS = { link: 'east-west', mirror: 'orders', topic: 'orders-eu', lane: 'broker-a:3' };
const LANE = 'link="east-west",mirror="orders",topic="orders-eu",lane="broker-a:3"';

function row(topic: string, lane: string, status: Partial<LaneRow['status']> = {}): LaneRow {
  const key = { link: 'east-west', mirror: 'orders' };
  return { key, status: { topic, lane, state: 'running', lagRecords: 5, lagSeconds: 2, ...status } };
}

function linesOf(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

describe('metrics', () => {
  it('tells how long ago each group was in step, and what it would read again, for as long as it is there', async () => {
    const metrics = createMetrics();
    const billing = { link: 'east-west', group: 'billing', state: 'synced', rereads: 7, syncAgeSeconds: 1.5 };
    const fresh = { link: 'east-west', group: 'fresh', state: 'waiting', rereads: null, syncAgeSeconds: null };
    let rows = [billing, fresh];
    metrics.watchGroups(() => rows);
    const text = await metrics.render();
    expect(linesOf(text, 'isthmus_group_sync_age_seconds')).toEqual([
      'isthmus_group_sync_age_seconds{link="east-west",group="billing"} 1.5',
    ]);
    expect(linesOf(text, 'isthmus_group_reread_records')).toEqual([
      'isthmus_group_reread_records{link="east-west",group="billing"} 7',
    ]);
    expect(linesOf(text, 'isthmus_groups')).toEqual([
      'isthmus_groups{link="east-west",state="synced"} 1',
      'isthmus_groups{link="east-west",state="waiting"} 1',
    ]);
    rows = [];
    expect(linesOf(await metrics.render(), 'isthmus_group_sync_age_seconds')).toEqual([]);
  });

  it('counts what a lane tells, by reason where there is one', async () => {
    const metrics = createMetrics();
    const lane = metrics.recorder.lane(LABELS);
    lane.read(10, 1_000);
    lane.read(5, 500);
    lane.stored(12, 900, 0.004);
    lane.dropped('loop', 2);
    lane.dropped('tag', 1);
    lane.deadLetter();
    lane.gap('expired', 100);
    lane.gap('expired', 50);
    lane.recovered(3, 7);
    lane.restart('CONNECTION_LOST');
    const text = await metrics.render();
    const expected = [
      `isthmus_read_records_total{${LANE}} 15`,
      `isthmus_read_bytes_total{${LANE}} 1500`,
      `isthmus_stored_records_total{${LANE}} 12`,
      `isthmus_stored_bytes_total{${LANE}} 900`,
      `isthmus_dropped_records_total{${LANE},reason="loop"} 2`,
      `isthmus_dropped_records_total{${LANE},reason="tag"} 1`,
      `isthmus_dead_letters_total{${LANE}} 1`,
      `isthmus_gaps_total{${LANE},reason="expired"} 2`,
      `isthmus_gap_records_total{${LANE},reason="expired"} 150`,
      `isthmus_recoveries_total{${LANE}} 1`,
      `isthmus_resent_records_total{${LANE}} 3`,
      `isthmus_recovery_found_records_total{${LANE}} 7`,
      `isthmus_lane_restarts_total{${LANE},code="CONNECTION_LOST"} 1`,
    ];
    expect(text.split('\n')).toEqual(expect.arrayContaining(expected));
    // Rendering again adds nothing.
    expect((await metrics.render()).split('\n')).toEqual(expect.arrayContaining(expected));
  });

  it('puts latencies into buckets from 1 ms to 60 s, per mirror', async () => {
    const metrics = createMetrics();
    const lane = metrics.recorder.lane(LABELS);
    for (const seconds of [0.0005, 0.004, 0.004, 59, 600]) lane.stored(1, 1, seconds);
    const text = await metrics.render();
    const mirror = 'link="east-west",mirror="orders"';
    expect(text).toContain(`isthmus_store_latency_seconds_bucket{le="0.001",${mirror}} 1\n`);
    expect(text).toContain(`isthmus_store_latency_seconds_bucket{le="0.005",${mirror}} 3\n`);
    expect(text).toContain(`isthmus_store_latency_seconds_bucket{le="60",${mirror}} 4\n`);
    expect(text).toContain(`isthmus_store_latency_seconds_count{${mirror}} 5\n`);
  });

  it('minds no latency that is no number or lies before the beginning', async () => {
    const metrics = createMetrics();
    const lane = metrics.recorder.lane(LABELS);
    for (const seconds of [Number.NaN, Number.POSITIVE_INFINITY, -3]) lane.stored(1, 1, seconds);
    const text = await metrics.render();
    expect(text).toContain('isthmus_store_latency_seconds_count{link="east-west",mirror="orders"} 1\n');
    expect(text).toContain('isthmus_store_latency_seconds_sum{link="east-west",mirror="orders"} 0\n');
  });

  it('forgets a lane that was closed, and a mirror with its last lane', async () => {
    const metrics = createMetrics();
    const first = metrics.recorder.lane(LABELS);
    const second = metrics.recorder.lane({ ...LABELS, lane: 'broker-a:4' });
    for (const lane of [first, second]) lane.stored(1, 1, 0.1);
    first.close();
    const between = await metrics.render();
    expect(between).not.toContain('broker-a:3');
    expect(between).toContain('broker-a:4');
    expect(between).toContain('isthmus_store_latency_seconds_count{link="east-west",mirror="orders"} 2');
    second.close();
    expect(await metrics.render()).not.toContain('east-west');
  });

  it('asks for the state of lanes at each rendering, and leaves out what is unknown', async () => {
    const metrics = createMetrics();
    let rows = [row('t', '0'), row('t', '1', { state: 'waiting', lagRecords: null, lagSeconds: null })];
    metrics.watchLanes(() => rows);
    const text = await metrics.render();
    const lane = (name: string): string => `link="east-west",mirror="orders",topic="t",lane="${name}"`;
    expect(linesOf(text, 'isthmus_lag_records')).toEqual([`isthmus_lag_records{${lane('0')}} 5`]);
    expect(linesOf(text, 'isthmus_lag_seconds')).toEqual([`isthmus_lag_seconds{${lane('0')}} 2`]);
    expect(linesOf(text, 'isthmus_lane_state')).toEqual([
      `isthmus_lane_state{${lane('0')},state="running"} 1`,
      `isthmus_lane_state{${lane('1')},state="waiting"} 1`,
    ]);
    rows = [row('t', '1', { state: 'running' })];
    const later = await metrics.render();
    expect(linesOf(later, 'isthmus_lane_state')).toEqual([`isthmus_lane_state{${lane('1')},state="running"} 1`]);
    expect(linesOf(later, 'isthmus_lanes')).toEqual(['isthmus_lanes{link="east-west",mirror="orders",state="running"} 1']);
  });

  it('gives lanes beyond the limit one series together: sums, and the largest lag in seconds', async () => {
    const metrics = createMetrics();
    const names = Array.from({ length: MAX_LANES + 3 }, (_, i) => String(i));
    const lanes = names.map((lane) => metrics.recorder.lane({ ...LABELS, lane }));
    for (const lane of lanes) lane.read(1, 10);
    metrics.watchLanes(() => names.map((lane, i) => row('t', lane, { lagSeconds: i })));
    const text = await metrics.render();
    const other = 'link="east-west",mirror="orders",topic="(other)",lane="(other)"';
    expect(linesOf(text, 'isthmus_read_records_total')).toHaveLength(MAX_LANES + 1);
    expect(text).toContain(`isthmus_read_records_total{${other}} 3\n`);
    expect(text).toContain(`isthmus_lag_records{${other}} 15\n`);
    expect(text).toContain(`isthmus_lag_seconds{${other}} ${MAX_LANES + 2}\n`);
    for (const lane of lanes) lane.close();
    expect(linesOf(await metrics.render(), 'isthmus_read_records_total')).toEqual([]);
  });

  it('keeps odd names readable for Prometheus', async () => {
    const metrics = createMetrics();
    metrics.recorder.lane({ link: 'a"b', mirror: 'c\\d', topic: 'e\nf', lane: '注文' }).read(1, 1);
    expect(await metrics.render()).toContain('{link="a\\"b",mirror="c\\\\d",topic="e\\nf",lane="注文"} 1');
  });

  it('says whether the state store answers, and what the process holds', async () => {
    const metrics = createMetrics();
    expect(await metrics.render()).toContain('isthmus_state_store_available 1\n');
    expect(await metrics.render()).not.toContain('isthmus_read_ahead_bytes');
    metrics.recorder.stateStore(false);
    metrics.watchBytes(() => ({ readAheadBytes: 7, inFlightBytes: 8 }));
    const text = await metrics.render();
    expect(text).toContain('isthmus_state_store_available 0\n');
    expect(text).toContain('isthmus_read_ahead_bytes 7\n');
    expect(text).toContain('isthmus_in_flight_bytes 8\n');
    expect(text).toContain('process_resident_memory_bytes');
  });

  it('shows every metric of the catalogue with its kind, and no other of ours', async () => {
    const metrics = createMetrics();
    metrics.watchBytes(() => ({ readAheadBytes: 0, inFlightBytes: 0 }));
    const shown = (await metrics.render()).split('\n').filter((line) => line.startsWith('# TYPE isthmus_'));
    const wanted = Object.values(CATALOGUE).map(({ name, kind }) => `# TYPE ${name} ${kind}`);
    expect(shown.toSorted()).toEqual(wanted.toSorted());
  });
});

describe('metric catalogue', () => {
  it('names units last, in the words of Prometheus', () => {
    for (const { name, unit, kind } of Object.values(CATALOGUE)) {
      expect(name).toMatch(/^isthmus_[a-z_]+$/);
      expect(name.endsWith('_total')).toBe(kind === 'counter');
      expect(name).toMatch(unit === 'bytes' || unit === 'seconds' ? new RegExp(`_${unit}(_total)?$`) : /./);
    }
  });

  it('has no name and no label twice', () => {
    const all = Object.values(CATALOGUE);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const each of all) expect(new Set(labelsOf(each)).size).toBe(labelsOf(each).length);
  });

  it('is what docs/METRICS.md says', () => {
    expect(readFileSync(new URL('../../../docs/METRICS.md', import.meta.url), 'utf8')).toBe(metricsDocument());
  });
});
