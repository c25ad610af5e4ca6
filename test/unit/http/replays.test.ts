import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { REPLAYED } from './fake-replays.ts';
import { type Api, READER, startApi } from './kit.ts';

const PATH = '/v1/mirrors/east-west/orders/replay';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

describe('a replay', () => {
  it('begins with what the body says, and tells how far it is', async () => {
    const started = await api.ask('POST', PATH, { body: { topics: ['a', 'b', 'a'], limit: 5, dryRun: true, skipRefused: true } });
    expect([started.status, started.headers.get('location')]).toEqual([202, PATH]);
    expect(started.body).toMatchObject({ link: 'east-west', mirror: 'orders', state: 'running', dryRun: true, endedAt: null });
    expect(api.control.replays.requests).toEqual([
      { key: { link: 'east-west', mirror: 'orders' }, topics: ['a', 'b'], limit: 5, dryRun: true, skipRefused: true },
    ]);
    api.control.replays.outcomes = [REPLAYED];
    const { status, body } = await api.ask('GET', PATH);
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        state: 'done',
        startedAt: '1970-01-01T00:00:01.000Z',
        endedAt: '1970-01-01T00:00:02.000Z',
        topics: REPLAYED.topics,
        letters: REPLAYED.letters,
        trouble: null,
      }),
    ]);
  });

  it('takes all that there is where the body says nothing', async () => {
    expect((await api.ask('POST', PATH, { body: {} })).status).toBe(202);
    expect(api.control.replays.requests[0]).toMatchObject({
      topics: undefined,
      limit: undefined,
      dryRun: false,
      skipRefused: false,
    });
  });

  it.each([
    [{ limit: 0 }, 'limit'],
    [{ limit: 1.5 }, 'limit'],
    [{ topics: [] }, 'topics'],
    [{ dryrun: true }, 'dryrun'],
    [{ dryRun: 'yes' }, 'dryRun'],
  ])('is refused with %j', async (request, path) => {
    const { status, body } = await api.ask('POST', PATH, { body: request });
    expect([status, (body['problems'] as { path: string }[]).map((problem) => problem.path)]).toEqual([400, [path]]);
    expect(api.control.replays.requests).toEqual([]);
  });

  it('is not there before it was begun, and not begun twice at a time', async () => {
    expect((await api.ask('GET', PATH)).status).toBe(404);
    expect((await api.ask('POST', PATH.replace('orders', 'busy'), { body: {} })).status).toBe(409);
  });

  it('is cancelled', async () => {
    await api.ask('POST', PATH, { body: {} });
    expect((await api.ask('DELETE', PATH)).status).toBe(200);
    expect(api.control.replays.cancelled).toBe(1);
  });

  it('is not for those who may only look', async () => {
    expect((await api.ask('POST', PATH, { body: {}, token: READER })).status).toBe(403);
    expect(api.control.replays.requests).toEqual([]);
  });
});
