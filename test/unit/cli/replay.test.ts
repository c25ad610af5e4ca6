import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { REPLAYED } from '../http/fake-replays.ts';
import { ADMIN, type Api, startApi } from '../http/kit.ts';
import { cli, type Outcome } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const replay = (...args: readonly string[]): Promise<Outcome> =>
  cli(['mirrors', 'replay', 'east-west/orders', ...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: ADMIN } });

describe('isthmus mirrors replay', () => {
  it('sends what the options say, waits for the end and tells what is back', async () => {
    api.control.replays.outcomes = [{}, REPLAYED];
    const { code, out } = await replay('--topic', 'a', 'b', '--limit', '7', '--skip-refused');
    expect(api.control.replays.requests).toEqual([
      { key: { link: 'east-west', mirror: 'orders' }, topics: ['a', 'b'], limit: 7, dryRun: false, skipRefused: true },
    ]);
    expect(code).toBe(0);
    const lines = out.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));
    expect(lines).toEqual([
      'TOPIC | FROM -> TO | FOUND | STORED | BACK | REFUSED | UNFIT',
      'orders-eu | persistent://public/default/orders-eu-dead-letter -> persistent://public/default/orders-eu | 3 | 0 | 2 | 1 | 1',
      '',
      '2 are back, 1 were refused again',
    ]);
  });

  it('shows the letters when it only looks', async () => {
    const request = { key: { link: 'l', mirror: 'm' }, topics: undefined, limit: undefined, dryRun: true, skipRefused: false };
    api.control.replays.outcomes = [{ ...REPLAYED, request }];
    const { code, out } = await replay('--dry-run');
    expect([code, api.control.replays.requests[0]?.dryRun]).toEqual([0, true]);
    expect(out).toContain('0 812:45  orders-eu broker-a:3 125000  it has 9000000 bytes');
    expect(out).toMatch(/3 would be put back$/);
  });

  it('leaves out of what would be put back what the target has already', async () => {
    const request = { key: { link: 'l', mirror: 'm' }, topics: undefined, limit: undefined, dryRun: true, skipRefused: false };
    const topics = (REPLAYED.topics ?? []).map((topic) => ({ ...topic, stored: 1, replayed: 0, refused: 0 }));
    const letters = (REPLAYED.letters ?? []).flatMap((letter) => [letter, { ...letter, position: '125001', stored: true }]);
    api.control.replays.outcomes = [{ ...REPLAYED, request, topics, letters }];
    const { out } = await replay('--dry-run');
    expect(out).toContain('broker-a:3 125000');
    expect(out).not.toContain('broker-a:3 125001');
    expect(out).toMatch(/2 would be put back, 1 were in the target already$/);
  });

  it.each([
    [{ state: 'done' } as const, 0, 'there are no dead letters that were not replayed'],
    [
      { state: 'failed', trouble: { code: 'RECORD_REFUSED', message: 'too large', since: 0 } } as const,
      1,
      '0 are back, then it ended: RECORD_REFUSED: too large',
    ],
    [{ state: 'cancelled' } as const, 1, 'cancelled; 0 are back'],
  ])('ends after %j with %d', async (outcome, code, text) => {
    api.control.replays.outcomes = [outcome];
    expect(await replay()).toMatchObject({ code, out: text });
  });

  it('prints the answer of the API as JSON', async () => {
    api.control.replays.outcomes = [REPLAYED];
    expect(JSON.parse((await replay('--json')).out)).toMatchObject({ state: 'done', topics: [{ found: 3 }] });
  });

  it('is refused with a limit that is no number', async () => {
    expect((await replay('--limit', 'all')).code).toBe(2);
    expect(api.control.replays.requests).toEqual([]);
  });
});
