import { describe, expect, it } from 'vitest';
import { chooseDrills } from '../../../scripts/drill/cli.ts';
import {
  disorders,
  doneAt,
  isBefore,
  judgeFlow,
  judgeGroup,
  secondBySecond,
  timeToRecover,
} from '../../../scripts/drill/judge.ts';
import { atMost, type DrillResult, equals, hasPassed, some } from '../../../scripts/drill/outcome.ts';
import { renderPage } from '../../../scripts/drill/page.ts';
import type { Row } from '../../checkers/row.ts';
import type { MemberRow } from '../../kit/members.ts';

const ids = Array.from({ length: 40 }, (_, n) => `source-0-${n}`);
const stored = (id: string, place: number, lane = 'broker-a:0'): Row => ({ id, place, lane, key: `k${place % 4}` });
const home = ids.map((id, i) => stored(id, i));
const away = ids.map((id, i) => stored(id, i, '0'));
const written = { acknowledged: new Map(ids.map((id, i) => [id, 1_000 * i])), inDoubt: new Set<string>() };

const got = (n: number, changes: Partial<MemberRow> = {}): MemberRow => ({
  id: ids[n] ?? '',
  lane: 'broker-a:0',
  place: String(n),
  key: `k${n % 4}`,
  acknowledged: true,
  at: (1_000 * n + 5) * 1_000,
  batchSize: 1,
  ...changes,
});
const failed = (checks: readonly { readonly passed: boolean; readonly name: string }[]): string[] =>
  checks.filter(({ passed }) => !passed).map(({ name }) => name.split(':')[0] ?? '');

describe('what a canary wrote', () => {
  const judged = (changes: Partial<Parameters<typeof judgeFlow>[0]>): string[] =>
    failed(judgeFlow({ writer: 'source', written, home, away, ...changes }));

  it('passes when both sides hold each record once and in order', () => {
    expect(judged({})).toEqual([]);
  });

  it.each([
    ['lost', { away: away.slice(0, -1) }],
    ['doubled', { away: [...away, stored('source-0-3', 40, '0')] }],
    ['sent back', { home: [...home, stored('source-0-3', 40)] }],
    ['reordered', { away: away.map((row) => (row.place === 1 ? { ...row, place: 60 } : row)) }],
    ['records written on the source', { home: [], away: [], written: { ...written, acknowledged: new Map() } }],
  ])('fails on what is %s', (name, changes) => {
    expect(judged(changes)).toContain(name);
  });

  it('fails when a broker has lost what it had acknowledged, though both sides agree', () => {
    expect(judged({ home: home.slice(1), away: away.slice(1) })).toEqual([
      'acknowledged records written on the source that its brokers have no more',
    ]);
  });

  it('does not miss what the mirror was to leave out', () => {
    expect(judged({ away: away.slice(0, -1), leftOut: new Set(['source-0-39']) })).toEqual([]);
  });
});

describe('a group that moved', () => {
  const run = {
    group: 'g',
    consumers: 'push to Failover',
    placeKind: 'exact',
    rereads: 0,
    inTarget: new Set(ids),
    clockFrom: 30_000,
  };
  const atSource = ids.slice(0, 20).map((_, n) => got(n));
  const from = (first: number): MemberRow[] => ids.slice(first).map((_, n) => got(first + n, { lane: '0' }));

  it('goes on at the record where it stopped', () => {
    const { result, checks } = judgeGroup({ ...run, atSource, atTarget: from(20), clockFrom: 19_005 });
    expect(failed(checks)).toEqual([]);
    expect(result).toMatchObject({
      predicted: 0,
      readAgain: 0,
      missed: 0,
      doneAtSource: 20,
      gotAtTarget: 20,
      firstAfterMillis: 1_000,
    });
  });

  it('must not leave a record out', () => {
    const { result, checks } = judgeGroup({ ...run, atSource, atTarget: from(21) });
    expect([result.missed, checks.filter(({ passed }) => !passed).map(({ name }) => name)]).toEqual([
      1,
      ['g: records that it never got'],
    ]);
  });

  it.each([
    ['more', 17],
    ['fewer', 19],
  ])('must not read %s again than was predicted', (_, first) => {
    const { checks } = judgeGroup({ ...run, rereads: 2, atSource, atTarget: from(first) });
    expect(checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['g: records read again']);
  });

  it('reads again what it did after the source was last seen, and no more', () => {
    const lastKnown = { 'broker-a:0': '15' };
    const { result, checks } = judgeGroup({ ...run, lastKnown, atSource, atTarget: from(15) });
    expect([failed(checks), result.predicted, result.readAgain]).toEqual([[], 5, 5]);
    expect(judgeGroup({ ...run, lastKnown, atSource, atTarget: from(14) }).checks.some(({ passed }) => !passed)).toBe(true);
  });

  it('fails when nobody could predict what it reads again', () => {
    expect(failed(judgeGroup({ ...run, rereads: null, atSource, atTarget: from(20) }).checks)).toEqual(['g']);
  });

  it('has not done an entry of which a part is not acknowledged', () => {
    const part = (n: number, acknowledged: boolean): MemberRow => got(n, { place: '7:1', batchSize: 2, acknowledged });
    expect(doneAt([got(0), part(1, true), part(2, false)])).toEqual(new Set(['source-0-0']));
    expect(doneAt([got(0), part(1, true), part(2, true)]).size).toBe(3);
  });

  it('has done a record that it got and acknowledged twice', () => {
    expect(doneAt([got(4), got(4)])).toEqual(new Set(['source-0-4']));
  });
});

describe('places and order', () => {
  it('compares offsets, and entries by ledger first', () => {
    expect(isBefore('9', '10')).toBe(true);
    expect(isBefore('10', '10')).toBe(false);
    expect(isBefore('8:90', '12:1')).toBe(true);
    expect(isBefore('12:3', '12:3:1')).toBe(false);
    expect(isBefore('3', undefined)).toBe(false);
  });

  it('counts records that came after a later one of their key, and no copies', () => {
    expect(disorders([got(0), got(8), got(4)])).toBe(1);
    expect(disorders([got(0), got(4), got(0), got(8)])).toBe(0);
    expect(disorders([got(5), got(4)])).toBe(0);
  });
});

describe('the time to recover', () => {
  const late = (n: number, millis: number): MemberRow => got(n, { at: (1_000 * n + millis) * 1_000 });

  it('ends when the last late record is there', () => {
    expect(timeToRecover([got(9), late(10, 8_000), late(11, 7_500), got(19)], written, 10_000)).toBe(8_500);
  });

  it('ends with the first new record where none was late', () => {
    expect(timeToRecover([got(9), got(10), got(13)], written, 10_000)).toBe(3_005);
  });

  it('is not known when no new record comes', () => {
    expect(timeToRecover([got(8), late(9, 4_000)], written, 10_000)).toBeNull();
    expect(atMost('recovered', 60, null, 's')).toMatchObject({ passed: false, measured: 'never' });
  });
});

const result: DrillResult = {
  drill: 'region-loss',
  title: 'Loss of a region',
  says: 'Every broker is killed.',
  startedAt: Date.UTC(2026, 0, 1),
  endedAt: Date.UTC(2026, 0, 1, 0, 1),
  source: 'rmq-east (RocketMQ)',
  target: 'pulsar-west (Pulsar)',
  state: 'redis',
  timeline: [{ at: Date.UTC(2026, 0, 1, 0, 0, 20), text: 'SIGKILL <now>', kind: 'fault' }],
  checks: [equals('lost', 0, 0), some('records', 5)],
  groups: [],
  seconds: secondBySecond(0, 3_000, [0, 10, 1_500], [2_999, 3_000]),
  failover: null,
  brokenOff: null,
  files: [],
};

describe('the report', () => {
  it('counts what was written and what arrived by the second', () => {
    expect(result.seconds).toEqual([
      { written: 2, arrived: 0 },
      { written: 1, arrived: 0 },
      { written: 0, arrived: 1 },
    ]);
  });

  it('passes only a drill that came to its end and checked something', () => {
    expect(hasPassed(result)).toBe(true);
    expect(hasPassed({ ...result, checks: [] })).toBe(false);
    expect(hasPassed({ ...result, brokenOff: 'no broker' })).toBe(false);
    expect(hasPassed({ ...result, checks: [...result.checks, equals('lost', 0, 1)] })).toBe(false);
  });

  it('is one page that loads nothing and lets no text be markup', () => {
    const page = renderPage([result]);
    expect(page).toContain('SIGKILL &lt;now&gt;');
    expect(page).toContain('<li class="fault"><time>20.0 s</time>');
    expect(page).not.toMatch(/<script|<link|src=|url\(|https?:/);
    expect(page).toContain('2 of 2 checks passed');
  });

  it('shows what failed with what was expected, and fails as a whole when one drill of several does', () => {
    const bad = { ...result, drill: 'redis-loss', checks: [equals('lost', 0, 3, ['lost: id 7'])] };
    const page = renderPage([result, bad]);
    expect(page).toContain('<title>2 drills: failed</title>');
    expect(page).toMatch(
      /<tr class="no"><td class="v">FAIL<\/td><td>lost<div class="detail">lost: id 7<\/div><\/td><td>0<\/td><td>3<\/td>/,
    );
    expect(renderPage([])).toContain('failed');
  });
});

describe('the choice of drills', () => {
  it('kills nothing on clusters of somebody', () => {
    expect(() => chooseDrills('region-loss', true)).toThrow('the kit alone');
    expect(chooseDrills('all', true).some(({ needsKit }) => needsKit)).toBe(false);
    expect(chooseDrills('all', false).length).toBeGreaterThan(chooseDrills('all', true).length);
    expect(() => chooseDrills('nothing', false)).toThrow('there is no drill nothing');
  });
});
