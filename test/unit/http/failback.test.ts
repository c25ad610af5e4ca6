import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LISTING } from './fake-failbacks.ts';
import { type Api, READER, startApi } from './kit.ts';

const PATH = '/v1/links/east-west/failback';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

describe('a failback', () => {
  it('lists where no policy is sent, and shows what it has found', async () => {
    const started = await api.ask('POST', PATH, { body: {} });
    expect([started.status, started.headers.get('location')]).toEqual([202, PATH]);
    expect(started.body).toMatchObject({ link: 'east-west', state: 'running', policy: null, listing: null });
    expect(api.control.failbacks.requests).toEqual([{ link: 'east-west' }]);
    api.control.failbacks.outcomes = [
      { state: 'listed', phase: 'ended', endedAt: 2_000, listing: LISTING, next: ['say what becomes of them'] },
    ];
    const { status, body } = await api.ask('GET', PATH);
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        state: 'listed',
        endedAt: '1970-01-01T00:00:02.000Z',
        next: ['say what becomes of them'],
        listing: expect.objectContaining({ id: LISTING.id, records: 3, conflicts: 1, since: '1970-01-01T00:00:01.000Z' }),
      }),
    ]);
    expect(body['listing']).toMatchObject({
      lanes: LISTING.lanes,
      keyList: [
        { key: 'k1', onTarget: 2, newestOnTarget: '1970-01-01T00:00:01.900Z' },
        { key: 'k2', onTarget: 0, newestOnTarget: null },
      ],
    });
  });

  it('takes a policy with the listing that it is for', async () => {
    const body = { policy: 'review', listing: '2-abc', reviewTopic: 'to-look-at' };
    expect((await api.ask('POST', PATH, { body })).status).toBe(202);
    expect(api.control.failbacks.requests).toEqual([{ link: 'east-west', ...body }]);
  });

  it.each([
    [{ policy: 'merge' }, 'policy'],
    [{ listing: '' }, 'listing'],
    [{ reviewTopic: 7 }, 'reviewTopic'],
    [{ dryRun: true }, 'dryRun'],
  ])('is refused with %j', async (request, path) => {
    const { status, body } = await api.ask('POST', PATH, { body: request });
    expect([status, (body['problems'] as { path: string }[]).map((problem) => problem.path)]).toEqual([400, [path]]);
    expect(api.control.failbacks.requests).toEqual([]);
  });

  it('is not there before it was begun, not begun twice at a time, and can be cancelled', async () => {
    expect((await api.ask('GET', PATH)).status).toBe(404);
    await api.ask('POST', PATH, { body: {} });
    expect((await api.ask('POST', PATH, { body: {} })).status).toBe(409);
    expect((await api.ask('DELETE', PATH)).body).toMatchObject({ state: 'cancelled' });
  });

  it('is not for those who may only read', async () => {
    expect((await api.ask('POST', PATH, { body: {}, token: READER })).status).toBe(403);
  });
});
