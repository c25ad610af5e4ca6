import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IsthmusError } from '../../../src/errors.ts';
import { checkView, clusterView, laneView, mirrorView, processView, topicView } from '../../../src/http/views.ts';
import { type Api, startApi } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const MIRROR = '/v1/mirrors/east-west/refunds';
const NEW = { link: 'east-west', name: 'refunds', topics: ['refunds-*'] };

describe('what is there', () => {
  it('is told as documented', async () => {
    const { body: mirrors } = await api.ask('GET', '/v1/mirrors');
    expect(mirrors).toEqual({
      mirrors: [expect.objectContaining({ link: 'east-west', name: 'orders', state: 'running', matchedTopics: ['orders-eu'] })],
    });
    const documented = [
      [mirrorView, '/v1/mirrors/east-west/orders'],
      [clusterView, '/v1/clusters', 'clusters'],
      [laneView, '/v1/mirrors/east-west/orders/lanes', 'lanes'],
      [checkView, '/v1/clusters/rmq-east/check'],
      [topicView, '/v1/clusters/rmq-east/topics/orders-eu'],
      [processView, '/v1/status'],
    ] as const;
    for (const [schema, path, list] of documented) {
      const { status, body } = await api.ask('GET', path);
      expect([path, status]).toEqual([path, 200]);
      const items = list === undefined ? [body] : (body[list] as unknown[]);
      for (const item of items) expect(schema.parse(item)).toEqual(item);
    }
  });

  it('a mirror shows its spec as it can be sent again', async () => {
    const { body } = await api.ask('GET', '/v1/mirrors/east-west/orders');
    expect(body['spec']).toMatchObject({ start: '2026-11-01T00:00:00.000Z', routing: { mode: 'key', by: 'property:customer' } });
  });

  it('a topic shows where each of its lanes begins and ends', async () => {
    const { body } = await api.ask('GET', '/v1/clusters/rmq-east/topics/orders-eu');
    expect(body['lanes']).toEqual([
      { lane: 'broker-a:0', readable: true, writable: true, begin: '1', end: '9' },
      { lane: 'broker-a:1', readable: true, writable: false, begin: null, end: null },
    ]);
  });

  it.each(['persistent://public/default/orders', '%RETRY%group', 'a b', 'ü'])(
    'the topic %s is found by its encoded name',
    async (topic) => {
      const { status, body } = await api.ask('GET', `/v1/clusters/pulsar-west/topics/${encodeURIComponent(topic)}`);
      expect([status, body['topic']]).toEqual([200, topic]);
    },
  );

  it('a cluster that fails its check is told, and is no error of the request', async () => {
    const { status, body } = await api.ask('GET', '/v1/clusters/rmq-east/check');
    expect([status, body]).toEqual([200, { ok: false, items: [{ what: 'connect to rmq-east', ok: false, detail: 'refused' }] }]);
  });
});

describe('a mirror', () => {
  it('is added, changed, paused, resumed, restarted and deleted', async () => {
    const added = await api.ask('POST', '/v1/mirrors', { body: { ...NEW, filter: { tags: ['paid'] } } });
    expect([added.status, added.headers.get('location')]).toEqual([201, MIRROR]);
    expect(api.control.specs.get('east-west/refunds')?.spec).toMatchObject({
      name: 'refunds',
      topics: ['refunds-*'],
      filter: { tags: ['paid'], properties: {} },
    });

    const changed = await api.ask('PATCH', MIRROR, { body: { filter: null, compression: 'lz4' } });
    expect(changed.body['spec']).toMatchObject({ topics: ['refunds-*'], filter: { tags: [] }, compression: 'lz4' });

    expect((await api.ask('POST', `${MIRROR}/pause`)).body['state']).toBe('paused');
    expect((await api.ask('POST', `${MIRROR}/resume`, { body: {} })).body['state']).toBe('running');
    expect((await api.ask('POST', `${MIRROR}/restart`)).status).toBe(200);

    const deleted = await api.ask('DELETE', MIRROR);
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    expect((await api.ask('GET', MIRROR)).status).toBe(404);
  });

  it('is refused with everything that is wrong with it', async () => {
    const { status, body } = await api.ask('POST', '/v1/mirrors', {
      body: {
        link: 'east-wes',
        topics: ['a*', ''],
        rename: 'persistent://t/n/one',
        routing: { mode: 'key', partition: 8 },
        groups: {},
      },
    });
    expect(status).toBe(400);
    expect(body).toMatchObject({
      type: 'urn:isthmus:error:INVALID_REQUEST',
      title: 'the request is not understood',
      status: 400,
      code: 'INVALID_REQUEST',
    });
    expect(body['problems']).toEqual([
      { path: 'link', message: 'must be the name of a link', hint: 'did you mean "east-west"?' },
      { path: 'name', message: 'is missing; it must be a text' },
      { path: 'topics[1]', message: 'must not be empty' },
      { path: 'routing.partition', message: 'is not a known key', hint: 'did you mean "partitions"?' },
      { path: 'groups', message: 'is not a known key', hint: 'it belongs to the link, beside "mirrors"' },
    ]);
    expect(api.control.specs.size).toBe(1);
  });

  it('that exists is not added again', async () => {
    const { status, body } = await api.ask('POST', '/v1/mirrors', { body: { ...NEW, name: 'orders' } });
    expect([status, body['code']]).toEqual([409, 'CONFLICT']);
  });

  it('of the file is neither changed nor deleted', async () => {
    expect((await api.ask('PATCH', '/v1/mirrors/east-west/orders', { body: { compression: 'lz4' } })).status).toBe(409);
    expect((await api.ask('DELETE', '/v1/mirrors/east-west/orders')).status).toBe(409);
  });

  it('keeps its name and link when it is changed', async () => {
    await api.ask('POST', '/v1/mirrors', { body: NEW });
    const { status, body } = await api.ask('PATCH', MIRROR, { body: { name: 'other', link: 'x', topics: [] } });
    expect([status, (body['problems'] as { path: string }[]).map(({ path }) => path)]).toEqual([400, ['topics', 'name', 'link']]);
  });

  it('keeps a dead-letter topic that was chosen, and lets one that was not follow its rename', async () => {
    await api.ask('POST', '/v1/mirrors', { body: NEW });
    const followed = await api.ask('PATCH', MIRROR, { body: { rename: 'persistent://t/n/{topic}' } });
    expect(followed.body['spec']).toMatchObject({ deadLetterTopic: '{target}-dead-letter' });
    await api.ask('PATCH', MIRROR, { body: { deadLetterTopic: 'persistent://t/n/dead' } });
    const kept = await api.ask('PATCH', MIRROR, { body: { rename: 'persistent://t/m/{topic}' } });
    expect(kept.body['spec']).toMatchObject({ rename: 'persistent://t/m/{topic}', deadLetterTopic: 'persistent://t/n/dead' });
  });

  it('verb takes no body', async () => {
    expect((await api.ask('POST', '/v1/mirrors/east-west/orders/pause', { body: { force: true } })).status).toBe(400);
    expect(api.control.specs.get('east-west/orders')?.paused).toBe(false);
  });
});

describe('health', () => {
  it('is told without a token', async () => {
    const { status, body } = await api.ask('GET', '/healthz', { token: null });
    expect([status, body]).toEqual([200, { status: 'ok' }]);
  });

  it('readiness is 503 with the reasons, which name things only to those who have a token', async () => {
    expect((await api.ask('GET', '/readyz', { token: null })).status).toBe(200);
    api.control.ready = false;
    const told = await api.ask('GET', '/readyz');
    expect([told.status, told.body]).toEqual([503, { ready: false, reasons: ['mirror east-west/orders waits'] }]);
    const untold = await api.ask('GET', '/readyz', { token: null });
    expect([untold.status, untold.body]).toEqual([503, { ready: false, reasons: ['1 reasons; send a token to see them'] }]);
  });

  it('metrics need a token unless the configuration opens them', async () => {
    const { status, text, headers } = await api.ask('GET', '/metrics', { token: 'a-reader-token-0123456789' });
    expect([status, text, headers.get('content-type')]).toEqual([200, 'isthmus_up 1\n', 'text/plain; version=0.0.4']);
    expect((await api.ask('GET', '/metrics', { token: null })).status).toBe(401);
    const open = await startApi({ metrics: 'open' });
    expect((await open.ask('GET', '/metrics', { token: null })).status).toBe(200);
    await open.server.close();
  });
});

describe('errors of the rooms behind', () => {
  it.each([
    ['CONNECT_FAILED', 502],
    ['REQUEST_TIMEOUT', 504],
    ['STATE_UNAVAILABLE', 503],
    ['ACCESS_DENIED', 502],
    ['TOPIC_NOT_FOUND', 404],
  ] as const)('%s becomes %i', async (code, status) => {
    const failing = await startApi({ control: { topics: () => Promise.reject(new IsthmusError(code, 'listing topics: no')) } });
    const answer = await failing.ask('GET', '/v1/clusters/rmq-east/topics');
    expect([answer.status, answer.body['code'], answer.body['detail']]).toEqual([status, code, 'listing topics: no']);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    await failing.server.close();
  });

  it('a defect is told to the log, not to the caller', async () => {
    const failing = await startApi({ control: { topics: () => Promise.reject(new TypeError('secret internals')) } });
    const { status, body, text } = await failing.ask('GET', '/v1/clusters/rmq-east/topics', {
      headers: { 'x-request-id': 'abc' },
    });
    expect([status, body['code'], body['requestId']]).toEqual([500, 'INTERNAL', 'abc']);
    expect(text).not.toMatch(/secret|at .*\.ts|stack/);
    expect(failing.log).toContainEqual(
      expect.objectContaining({
        level: 'error',
        event: 'http-request-failed',
        fields: expect.objectContaining({ request: 'abc', error: 'secret internals' }),
      }),
    );
    await failing.server.close();
  });
});

describe('/openapi.json', () => {
  it('describes every path that is served, each with a summary, and nothing that is not', async () => {
    const { status, body } = await api.ask('GET', '/openapi.json', { token: null });
    expect(status).toBe(200);
    const paths = body['paths'] as Record<
      string,
      Record<string, { summary: string; responses: Record<string, unknown>; parameters?: { description?: string }[] }>
    >;
    expect(Object.keys(paths).toSorted()).toEqual([
      '/healthz',
      '/metrics',
      '/openapi.json',
      '/readyz',
      '/v1/clusters',
      '/v1/clusters/{cluster}/check',
      '/v1/clusters/{cluster}/topics',
      '/v1/clusters/{cluster}/topics/{topic}',
      '/v1/links/{link}/failback',
      '/v1/links/{link}/failover',
      '/v1/links/{link}/groups',
      '/v1/links/{link}/groups/apply',
      '/v1/links/{link}/groups/sync',
      '/v1/links/{link}/groups/{group}',
      '/v1/links/{link}/translate',
      '/v1/mirrors',
      '/v1/mirrors/{link}/{mirror}',
      '/v1/mirrors/{link}/{mirror}/lanes',
      '/v1/mirrors/{link}/{mirror}/pause',
      '/v1/mirrors/{link}/{mirror}/replay',
      '/v1/mirrors/{link}/{mirror}/restart',
      '/v1/mirrors/{link}/{mirror}/resume',
      '/v1/status',
      '/v1/verifications',
      '/v1/verifications/{id}',
    ]);
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        expect(operation.summary, `${method} ${path}`).not.toBe('');
        expect(operation.parameters?.every(({ description }) => description !== undefined) ?? true).toBe(true);
        const real = path
          .replace('{cluster}', 'rmq-east')
          .replace('{topic}', 't')
          .replace('{link}', 'east-west')
          .replace('{mirror}', 'orders');
        const answer = await api.ask(method.toUpperCase(), real, method === 'post' || method === 'patch' ? { body: '{' } : {});
        expect(Object.keys(operation.responses), `${method} ${path}`).toContain(String(answer.status));
      }
    }
  });

  it('has each of its paths in docs/API.md', async () => {
    const docs = readFileSync('docs/API.md', 'utf8');
    const { body } = await api.ask('GET', '/openapi.json');
    const missing = Object.keys(body['paths'] as object).filter((path) => !docs.includes(path));
    expect(missing).toEqual([]);
  });

  it('refers only to schemas that it holds', async () => {
    const { text, body } = await api.ask('GET', '/openapi.json');
    const schemas = Object.keys((body['components'] as { schemas: object }).schemas);
    const references = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
    expect(references.length).toBeGreaterThan(10);
    expect(references.filter((name) => name === undefined || !schemas.includes(name))).toEqual([]);
  });
});
