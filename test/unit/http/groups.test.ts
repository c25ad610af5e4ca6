import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, READER, startApi } from './kit.ts';

const PATH = '/v1/links/east-west';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

describe('groups', () => {
  it('are listed with their places, times as ISO 8601', async () => {
    const { status, body } = await api.ask('GET', `${PATH}/groups`, { token: READER });
    expect([status, body]).toMatchObject([
      200,
      {
        link: 'east-west',
        apply: 'idle',
        passAt: '1970-01-01T00:00:05.000Z',
        trouble: null,
        groups: [
          {
            group: 'billing',
            syncedAt: '1970-01-01T00:00:04.000Z',
            topics: [{ topic: 'orders-eu', places: [{ next: '812:45', rereads: 7 }] }],
          },
        ],
      },
    ]);
  });

  it('are told one by one, also under names that have to be encoded', async () => {
    expect((await api.ask('GET', `${PATH}/groups/billing`)).body).toMatchObject({ targetGroup: 'billing', kind: 'floor' });
    expect((await api.ask('GET', `${PATH}/groups/${encodeURIComponent('%RETRY%x')}`)).status).toBe(404);
    expect((await api.ask('GET', '/v1/links/nowhere/groups')).status).toBe(404);
  });

  it('are brought into step at once for those who may change things', async () => {
    expect((await api.ask('POST', `${PATH}/groups/sync`, { token: READER })).status).toBe(403);
    expect((await api.ask('POST', `${PATH}/groups/sync`)).status).toBe(200);
    expect(api.control.groups.synced).toEqual(['east-west']);
  });

  it('are moved once where somebody asks for it, by force only where that is said', async () => {
    const path = `${PATH}/groups/apply`;
    expect((await api.ask('POST', path, { token: READER, body: {} })).status).toBe(403);
    expect(await api.ask('POST', path, { body: {} })).toMatchObject({ status: 200, body: { force: false, dryRun: false } });
    const body = { group: 'billing', topic: 'orders-eu', force: true, dryRun: true };
    expect(await api.ask('POST', path, { body })).toMatchObject({
      status: 200,
      body: {
        link: 'east-west',
        trouble: null,
        groups: [{ topics: [{ places: [{ lane: '3', was: '812:51', next: '812:45' }] }] }],
      },
    });
    expect(api.control.groups.applied).toEqual([
      { link: 'east-west', force: false, dryRun: false },
      { link: 'east-west', ...body },
    ]);
  });

  it('are not moved for a request that is not understood, or names none', async () => {
    const path = `${PATH}/groups/apply`;
    expect((await api.ask('POST', path, { body: { groups: 'billing' } })).body).toMatchObject({
      code: 'INVALID_REQUEST',
      problems: [{ path: 'groups' }],
    });
    expect((await api.ask('POST', path, { body: { force: 'yes' } })).status).toBe(400);
    expect((await api.ask('POST', path, { body: { group: 'nobody' } })).status).toBe(404);
  });
});

describe('a position', () => {
  it('is translated', async () => {
    const { status, body } = await api.ask('GET', `${PATH}/translate?topic=orders-eu&lane=broker-a%3A3&position=125000`);
    expect([status, body]).toMatchObject([200, { mirror: 'orders', kind: 'exact', places: [{ lane: '3', next: '812:45' }] }]);
    expect(api.control.groups.requests).toEqual([
      { link: 'east-west', topic: 'orders-eu', lane: 'broker-a:3', position: '125000' },
    ]);
  });

  it('needs topic, lane and position', async () => {
    const { status, body } = await api.ask('GET', `${PATH}/translate?topic=orders-eu&lane=broker-a%3A3`);
    expect([status, body['code']]).toEqual([400, 'INVALID_REQUEST']);
    expect(body['detail']).toContain('position');
  });
});
