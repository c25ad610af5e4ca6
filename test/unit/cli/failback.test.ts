import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LISTING } from '../http/fake-failbacks.ts';
import { ADMIN, type Api, startApi } from '../http/kit.ts';
import { cli, type Outcome } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const failback = (...args: readonly string[]): Promise<Outcome> =>
  cli(['failback', 'east-west', ...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: ADMIN } });

const LISTED = { state: 'listed', phase: 'ended', listing: LISTING, next: ['say what becomes of the 3 records'] } as const;

describe('isthmus failback', () => {
  it('lists, and shows records, keys and what comes next', async () => {
    api.control.failbacks.outcomes = [{}, LISTED];
    const { code, out } = await failback();
    expect([code, api.control.failbacks.requests]).toEqual([0, [{ link: 'east-west' }]]);
    const lines = out.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));
    expect(lines).toEqual([
      'rmq-east has 3 records that pulsar-west has not',
      '',
      'MIRROR | TOPIC | LANE | FROM | UP TO | RECORDS | IN pulsar-west | FROM pulsar-west',
      'orders | orders-eu | broker-a:3 | 7 | 11 | 3 | 1 | 0',
      '',
      '1 of 2 keys were written on both sides since 1970-01-01T00:00:01.000Z; 1 records have no key',
      '',
      'TOPIC | KEY | IN rmq-east | NEWEST | IN pulsar-west | NEWEST',
      'orders-eu | k1 | 1 | 1970-01-01T00:00:01.500Z | 2 | 1970-01-01T00:00:01.900Z',
      '',
      'TOPIC | LANE | POSITION | TIME | KEY',
      'orders-eu | broker-a:3 | 7 | 1970-01-01T00:00:01.500Z | k1',
      'orders-eu | broker-a:3 | 9 | 1970-01-01T00:00:01.600Z | k2',
      'orders-eu | broker-a:3 | 10 | 1970-01-01T00:00:01.700Z | -',
      '',
      'a note',
      '',
      '- say what becomes of the 3 records',
    ]);
  });

  it('changes nothing without --yes', async () => {
    api.control.failbacks.outcomes = [LISTED];
    await api.control.failbacks.start({ link: 'east-west' });
    const { code, err, out } = await failback('--policy', 'drop');
    expect([code, err]).toEqual([0, 'nothing is changed without --yes']);
    expect(out).toMatch(/^rmq-east has 3 records/);
    expect(api.control.failbacks.requests).toHaveLength(1);
  });

  it('applies a policy to the listing that somebody has seen', async () => {
    api.control.failbacks.outcomes = [LISTED, { ...LISTED, state: 'done', reviewed: 3, resumed: ['orders'], next: ['wait'] }];
    await api.control.failbacks.start({ link: 'east-west' });
    const { code, out } = await failback('--policy', 'review', '--review-topic', 'to-look-at', '--yes');
    expect(api.control.failbacks.requests.slice(1)).toEqual([
      { link: 'east-west', policy: 'review', listing: LISTING.id, reviewTopic: 'to-look-at' },
    ]);
    expect([code, out]).toEqual([0, '3 records were written to to-look-at; 1 mirrors run again\n\n- wait']);
  });

  it('lists first where nothing was listed, and tells why it has ended', async () => {
    const trouble = { code: 'CONNECT_FAILED', message: 'refused', since: 0 } as const;
    api.control.failbacks.outcomes = [{ state: 'failed', listing: null, trouble }];
    const { code, out } = await failback('--policy', 'append', '--yes');
    expect([code, out]).toEqual([1, 'it ended: CONNECT_FAILED: refused']);
    expect(api.control.failbacks.requests).toEqual([{ link: 'east-west' }]);
  });

  it('only shows the last one with --status', async () => {
    expect((await failback('--status')).code).toBe(2);
    api.control.failbacks.outcomes = [LISTED];
    await api.control.failbacks.start({ link: 'east-west' });
    expect(JSON.parse((await failback('--status', '--json')).out)).toMatchObject({ state: 'listed', listing: { records: 3 } });
  });

  it('is refused with a policy that there is not', async () => {
    expect((await failback('--policy', 'merge')).code).toBe(2);
  });
});
