import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Io } from '../../../src/cli/io.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import { DIFFERENT } from '../http/fake-verifications.ts';
import { ADMIN, type Api, READER, startApi } from '../http/kit.ts';
import { cli, type Outcome } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const verify = (args: readonly string[], token = ADMIN): Promise<Outcome> =>
  cli(['verify', ...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: token } });

const squeezed = (text: string): string[] => text.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));

describe('isthmus verify', () => {
  it('ends with 0 when both sides hold the same', async () => {
    api.control.verifications.outcomes = [{ state: 'equal', phase: 'done' }];
    const { code, out } = await verify(['east-west/orders']);
    expect([code, out]).toEqual([0, 'source and target hold the same: 1,200 records of 1 topics in the source, 0 in the target']);
  });

  it('sends what the options say', async () => {
    api.control.verifications.outcomes = [{ state: 'equal', phase: 'done' }];
    await verify([
      'east-west/orders',
      '--topics',
      'a',
      'b',
      '--from',
      '2026-11-01T00:00:00Z',
      '--to',
      '2026-11-02T00:00:00Z',
      '--repair',
    ]);
    expect(api.control.verifications.requests).toEqual([
      {
        key: { link: 'east-west', mirror: 'orders' },
        topics: ['a', 'b'],
        from: Date.UTC(2026, 10, 1),
        to: Date.UTC(2026, 10, 2),
        repair: true,
      },
    ]);
  });

  it('waits for the end, and then shows each difference with its places and ends with 1', async () => {
    api.control.verifications.outcomes = [{}, { phase: 'comparing' }, DIFFERENT];
    const { code, out } = await verify(['east-west/orders']);
    expect(code).toBe(1);
    const lines = squeezed(out);
    expect(lines[0]).toBe(
      'source and target differ: 2 missing, 1 doubled, 1 changed, 1 reordered (1 of the missing ones may have been there and expired); read: 1,200 records of 1 topics in the source, 0 in the target',
    );
    expect(lines).toContain('repaired: 1 sent, 0 found in the target after all, 0 left');
    expect(lines).toContain('left out as they should be: 7 tag, 3 expired');
    expect(lines).toContain('2025-10-09T08:54 | 2 | 1 | 1 | 1 | 0');
    expect(lines).toContain('missing | orders-eu broker-a:3 | 100 | 2025-10-09T08:54:10.000Z | - | may have expired');
    expect(lines).toContain('reordered | orders-eu broker-a:3 | 103 | 2025-10-09T08:54:10.000Z | 3 812:3:0 | behind 110');
    expect(lines).toContain('... 1 more; --json lists up to 250 of each kind');
    expect(lines).toContain('note: orders-eu broker-a:4: it has not begun, so nothing of it is compared');
  });

  it('prints the answer of the API with --json, and the code says the same', async () => {
    api.control.verifications.outcomes = [DIFFERENT];
    const { code, out } = await verify(['east-west/orders', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ state: 'different', counts: { missing: 2 } });
  });

  it.each([
    ['failed', 'could not be compared: CONNECT_FAILED: connecting: refused'],
    ['cancelled', 'cancelled; read until then: 1,200 records of 1 topics in the source, 0 in the target'],
  ] as const)('ends with 2 when it has %s', async (state, text) => {
    api.control.verifications.outcomes = [
      { state, trouble: { code: 'CONNECT_FAILED', message: 'connecting: refused', since: 0 } },
    ];
    const { code, out } = await verify(['east-west/orders']);
    expect([code, out]).toEqual([2, text]);
  });

  it.each([
    [['east-west/busy'], ADMIN, 2],
    [['east-west/none'], ADMIN, 2],
    [['east-west/orders', '--from', 'soon'], ADMIN, 2],
    [['east-west/orders'], READER, 2],
    [['orders'], ADMIN, 2],
  ] as const)('ends with 2 when it cannot begin: %s', async (args, token, code) => {
    const outcome = await verify(args, token);
    expect([outcome.code, outcome.out]).toEqual([code, '']);
    expect(outcome.err).not.toBe('');
  });

  it('ends with 3 when the process does not answer', async () => {
    await api.server.close();
    expect((await verify(['east-west/orders'])).code).toBe(3);
    api = await startApi();
  });

  it('shows how far it is where somebody watches, and cancels when that person interrupts', async () => {
    const shown: string[] = [];
    const out: string[] = [];
    let interrupt = (): void => undefined;
    const io: Io = {
      out: (text) => void out.push(text),
      err: () => undefined,
      environment: { ISTHMUS_TOKEN: ADMIN },
      input: () => Promise.resolve(''),
      progress: (text) => {
        shown.push(text);
        if (shown.length === 2) interrupt();
        if (shown.length === 3) api.control.verifications.outcomes = [{ state: 'cancelled' }];
      },
      onInterrupt: (run) => {
        interrupt = run;
        return () => undefined;
      },
    };
    api.control.verifications.outcomes = [{ counts: { missing: 3, doubled: 0, changed: 0, reordered: 0, unexpected: 0 } }];
    const unused = (): never => {
      throw new Error('not of this verb');
    };
    const wiring = { version: '1', run: unused, checkState: unused, openClusters: unused };
    const code = await runCli(['node', 'isthmus', 'verify', 'east-west/orders', '--url', api.server.url], io, wiring);
    expect(code).toBe(2);
    expect(shown[0]).toBe('reading source orders-eu (0/1 topics), source 1,200 of 20,000, target 0, 3 missing');
    expect(shown.at(-1)).toBe('');
    expect(api.control.verifications.cancelled).toEqual(['1-abc123']);
  });
});
