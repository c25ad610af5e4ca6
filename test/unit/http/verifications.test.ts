import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verificationView } from '../../../src/http/verification-view.ts';
import { DIFFERENT } from './fake-verifications.ts';
import { type Api, READER, startApi } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const PATH = '/v1/verifications';
const NEW = { link: 'east-west', mirror: 'orders' };

describe('a verification', () => {
  it('is begun in the background, and says where to ask for it', async () => {
    const body = { ...NEW, topics: ['b', 'a', 'b'], from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00+01:00', repair: true };
    const begun = await api.ask('POST', PATH, { body });
    expect([begun.status, begun.headers.get('location')]).toEqual([202, `${PATH}/1-abc123`]);
    expect(verificationView.parse(begun.body)).toEqual(begun.body);
    expect(begun.body).toMatchObject({
      state: 'running',
      from: '2026-11-01T00:00:00.000Z',
      to: '2026-11-01T23:00:00.000Z',
      repair: true,
    });
    expect(api.control.verifications.requests).toEqual([
      {
        key: { link: 'east-west', mirror: 'orders' },
        topics: ['b', 'a'],
        from: Date.UTC(2026, 10, 1),
        to: Date.UTC(2026, 10, 1, 23),
        repair: true,
      },
    ]);
  });

  it('compares everything and sends nothing when nothing is said', async () => {
    await api.ask('POST', PATH, { body: NEW });
    expect(api.control.verifications.requests).toEqual([
      { key: { link: 'east-west', mirror: 'orders' }, topics: undefined, from: undefined, to: undefined, repair: false },
    ]);
  });

  it('tells how far it is and what it has found, as documented', async () => {
    await api.ask('POST', PATH, { body: NEW });
    api.control.verifications.outcomes = [{}, DIFFERENT];
    const running = await api.ask('GET', `${PATH}/1-abc123`);
    expect(running.body).toMatchObject({ state: 'running', phase: 'reading-source', endedAt: null, repaired: null });
    const ended = await api.ask('GET', `${PATH}/1-abc123`);
    expect(verificationView.parse(ended.body)).toEqual(ended.body);
    expect(ended.body).toMatchObject({
      state: 'different',
      counts: { missing: 2, doubled: 1 },
      repaired: { stored: 1, found: 0, left: 0 },
      minutes: [{ minute: '2025-10-09T08:54:00.000Z', counts: { missing: 2 } }],
    });
    expect(ended.body['differences']).toContainEqual({
      kind: 'reordered',
      topic: 'orders-eu',
      lane: 'broker-a:3',
      position: '103',
      time: '2025-10-09T08:54:10.000Z',
      target: [{ lane: '3', position: '812:3:0' }],
      behind: '110',
      mayHaveExpired: false,
    });
  });

  it('is listed, newest first', async () => {
    await api.ask('POST', PATH, { body: NEW });
    await api.ask('POST', PATH, { body: { ...NEW, mirror: 'audit' } });
    const { body } = await api.ask('GET', PATH);
    expect(body).toMatchObject({ verifications: [{ id: '2-abc123', mirror: 'audit' }, { id: '1-abc123' }] });
  });

  it('is cancelled or forgotten by DELETE', async () => {
    await api.ask('POST', PATH, { body: NEW });
    expect((await api.ask('DELETE', `${PATH}/1-abc123`)).status).toBe(204);
    expect(api.control.verifications.cancelled).toEqual(['1-abc123']);
  });
});

describe('what is refused', () => {
  it('a body that is not right, with all that is wrong', async () => {
    const body = { link: 'East', topics: 'a', from: 'yesterday', repair: 1, ids: true };
    const { status, body: problem } = await api.ask('POST', PATH, { body });
    expect([status, problem['code']]).toEqual([400, 'INVALID_REQUEST']);
    const paths = (problem['problems'] as { path: string }[]).map(({ path }) => path).sort();
    expect(paths).toEqual(['from', 'ids', 'link', 'mirror', 'repair', 'topics']);
    expect(api.control.verifications.requests).toEqual([]);
  });

  it('a moment without a zone', async () => {
    const { status } = await api.ask('POST', PATH, { body: { ...NEW, from: '2026-11-01T00:00:00' } });
    expect(status).toBe(400);
  });

  it.each([
    ['busy', 409, 'CONFLICT'],
    ['none', 404, 'NOT_FOUND'],
  ])('what control refuses of %s', async (mirror, code, name) => {
    const { status, body } = await api.ask('POST', PATH, { body: { ...NEW, mirror } });
    expect([status, body['code']]).toEqual([code, name]);
  });

  it.each(['9-abc123', 'x', '1-ABC', '%2e%2e'])('the id %s, of which there is none', async (id) => {
    expect((await api.ask('GET', `${PATH}/${id}`)).status).toBe(404);
    expect((await api.ask('DELETE', `${PATH}/${id}`)).status).toBe(404);
  });

  it('beginning and cancelling, to those who may only read', async () => {
    expect((await api.ask('POST', PATH, { body: NEW, token: READER })).status).toBe(403);
    expect((await api.ask('DELETE', `${PATH}/1-abc123`, { token: READER })).status).toBe(403);
    expect((await api.ask('GET', PATH, { token: READER })).status).toBe(200);
  });
});
