import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, READER, startApi } from './kit.ts';

const PATH = '/v1/links/east-west/failover';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

describe('a failover', () => {
  it('is planned without anything being changed', async () => {
    const { status, body } = await api.ask('POST', PATH, { body: { dryRun: true, kind: 'unplanned' } });
    expect([status, body]).toMatchObject([
      200,
      { kind: 'unplanned', at: '1970-01-01T00:00:02.000Z', sourceAt: '1970-01-01T00:00:01.000Z', atRisk: [{ records: 2 }] },
    ]);
    expect(api.control.failovers.requests).toEqual([]);
  });

  it('begins as planned unless said otherwise, and is watched and aborted', async () => {
    expect((await api.ask('GET', PATH)).status).toBe(404);
    const started = await api.ask('POST', PATH, { body: {} });
    expect([started.status, started.headers.get('location')]).toEqual([202, PATH]);
    expect(api.control.failovers.requests).toEqual([{ link: 'east-west', kind: 'planned', drainMillis: 600_000, force: false }]);
    expect((await api.ask('POST', PATH, { body: {} })).status).toBe(409);
    const certificate = {
      kind: 'planned' as const,
      startedAt: 3_000,
      endedAt: 9_000,
      groups: [
        {
          group: 'billing',
          targetGroup: 'billing',
          topic: 'orders',
          targetTopic: 'orders',
          predicted: null,
          actual: { kind: 'floor' as const, rereads: 39, atLeast: true },
          state: 'synced' as const,
        },
      ],
      recordsLeftBehind: 0,
      leftBehind: [],
      unseenMillis: 1_500,
      pausedMirrors: [],
    };
    api.control.failovers.outcome = { certificate };
    expect((await api.ask('GET', PATH, { token: READER })).body).toMatchObject({
      state: 'running',
      steps: [{ step: 'fence', startedAt: '1970-01-01T00:00:03.000Z', endedAt: null }],
      certificate: {
        endedAt: '1970-01-01T00:00:09.000Z',
        unseenSeconds: 1.5,
        groups: [{ actual: { kind: 'floor', rereads: 39, atLeast: true } }],
      },
    });
    expect((await api.ask('DELETE', PATH)).body['state']).toBe('aborted');
  });

  it('that is unplanned waits less long for what the source still gives', async () => {
    await api.ask('POST', PATH, { body: { kind: 'unplanned', force: true } });
    expect(api.control.failovers.requests).toEqual([{ link: 'east-west', kind: 'unplanned', drainMillis: 30_000, force: true }]);
  });

  it.each([
    [{ kind: 'sudden' }, 'kind'],
    [{ drainTimeout: 'soon' }, 'drainTimeout'],
    [{ dryrun: true }, 'dryrun'],
  ])('is refused with %j', async (request, path) => {
    const { status, body } = await api.ask('POST', PATH, { body: request });
    expect([status, (body['problems'] as { path: string }[]).map((problem) => problem.path)]).toEqual([400, [path]]);
  });

  it('is begun and aborted by those alone who may change things', async () => {
    expect((await api.ask('POST', PATH, { body: { dryRun: true }, token: READER })).status).toBe(403);
    expect((await api.ask('DELETE', PATH, { token: READER })).status).toBe(403);
  });
});
