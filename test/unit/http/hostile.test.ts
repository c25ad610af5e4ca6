import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveHttp } from '../../../src/http/serve.ts';
import { ADMIN, type Api, READER, rawExchange, startApi, TOKENS } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());

const NEW = { link: 'east-west', name: 'refunds', topics: ['refunds-*'] };

function isProblem(answer: { status: number; headers: Headers; body: Record<string, unknown>; text: string }): boolean {
  const { type, title, status, code, detail, requestId } = answer.body;
  const texts = [type, title, code, detail, requestId].every((field) => typeof field === 'string' && field !== '');
  return (
    texts &&
    status === answer.status &&
    answer.headers.get('content-type') === 'application/problem+json' &&
    !/\.ts|node:|at \//.test(answer.text)
  );
}

describe('tokens', () => {
  it.each([
    ['none', null, 'Bearer realm="isthmus"'],
    ['a wrong one', 'wrong-token-0123456789', 'Bearer realm="isthmus", error="invalid_token"'],
    ['a part of one', ADMIN.slice(0, -1), 'Bearer realm="isthmus", error="invalid_token"'],
    ['one with something behind', `${ADMIN}x`, 'Bearer realm="isthmus", error="invalid_token"'],
  ])('%s opens nothing', async (_, token, challenge) => {
    for (const [method, path] of [
      ['GET', '/v1/mirrors'],
      ['POST', '/v1/mirrors'],
      ['GET', '/metrics'],
      ['GET', '/nowhere'],
      ['GET', '/v1/status'],
    ] as const) {
      const answer = await api.ask(method, path, { token });
      expect([path, answer.status, answer.body['code'], answer.headers.get('www-authenticate')]).toEqual([
        path,
        401,
        'UNAUTHORIZED',
        challenge,
      ]);
      expect(isProblem(answer)).toBe(true);
    }
  });

  it.each([`Basic ${btoa(`ops:${ADMIN}`)}`, ADMIN, `Bearer  `, `Bearer ${ADMIN} ${ADMIN}`])(
    '%s is no bearer token',
    async (authorization) => {
      expect((await api.ask('GET', '/v1/mirrors', { token: null, headers: { authorization } })).status).toBe(401);
    },
  );

  it('of the role read may look and not touch', async () => {
    expect((await api.ask('GET', '/v1/mirrors', { token: READER })).status).toBe(200);
    for (const [method, path] of [
      ['POST', '/v1/mirrors'],
      ['PATCH', '/v1/mirrors/east-west/orders'],
      ['DELETE', '/v1/mirrors/east-west/orders'],
      ['POST', '/v1/mirrors/east-west/orders/pause'],
    ] as const) {
      const answer = await api.ask(method, path, { token: READER, ...(method === 'DELETE' ? {} : { body: {} }) });
      expect([answer.status, answer.body['code'], isProblem(answer)]).toEqual([403, 'FORBIDDEN', true]);
    }
    expect(api.control.specs.get('east-west/orders')?.paused).toBe(false);
  });

  it('never get into the log', async () => {
    await api.ask('GET', '/v1/mirrors');
    await api.ask('POST', '/v1/mirrors', { body: NEW });
    await api.ask('GET', '/v1/mirrors', { token: 'wrong-token-0123456789' });
    expect(JSON.stringify(api.log)).not.toMatch(/0123456789/);
    expect(api.log).toContainEqual({
      level: 'info',
      event: 'http-request',
      fields: expect.objectContaining({ method: 'POST', path: '/v1/mirrors', status: 201, who: 'ops' }),
    });
  });
});

describe('without tokens', () => {
  let open: Api;
  beforeEach(async () => {
    open = await startApi({ tokens: [] });
  });
  afterEach(() => open.server.close());

  it('this machine may do everything', async () => {
    expect((await open.ask('POST', '/v1/mirrors', { body: NEW, token: null })).status).toBe(201);
  });

  it.each(['evil.example', 'evil.example:8686', '127.0.0.1.evil.example', '10.0.0.1'])(
    'a page whose name %s was made to point here gets nothing',
    async (host) => {
      const answer = await rawExchange(
        open.server.port,
        `GET /v1/mirrors HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      expect(answer).toContain('"code":"FORBIDDEN"');
    },
  );

  it.each(['localhost:1', '127.0.0.1', '[::1]:8686', 'LOCALHOST'])('the host %s is this machine', async (host) => {
    expect(await rawExchange(open.server.port, `GET /v1/mirrors HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 200 /,
    );
  });
});

describe('a page of another site', () => {
  it.each([{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }])(
    'cannot change anything (%j)',
    async (headers) => {
      const raw = Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('');
      const answer = await rawExchange(
        api.server.port,
        `POST /v1/mirrors/east-west/orders/pause HTTP/1.1\r\nHost: 127.0.0.1:${api.server.port}\r\nAuthorization: Bearer ${ADMIN}\r\n${raw}Content-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      expect(api.control.specs.get('east-west/orders')?.paused).toBe(false);
    },
  );

  it('is never granted a preflight', async () => {
    const answer = await api.ask('OPTIONS', '/v1/mirrors', {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  });

  it('of our own may', async () => {
    const { status } = await api.ask('POST', '/v1/mirrors', { body: NEW, headers: { origin: api.server.url } });
    expect(status).toBe(201);
  });
});

describe('bodies', () => {
  it.each([
    ['no JSON', '{"link": "east-west", ', 400],
    ['no object', '[]', 400],
    ['nothing', '', 400],
    ['null', 'null', 400],
    ['a text', '"x"', 400],
    ['deep brackets', '['.repeat(50_000), 400],
    ['keys of the prototype', '{"__proto__": {"link": "east-west"}, "constructor": 1}', 400],
  ])('that are %s are refused', async (_, body, status) => {
    const answer = await api.ask('POST', '/v1/mirrors', { body });
    expect([answer.status, answer.body['code'], isProblem(answer)]).toEqual([status, 'INVALID_REQUEST', true]);
    expect(api.control.specs.size).toBe(1);
  });

  it('that are not JSON are not quoted', async () => {
    const { body } = await api.ask('POST', '/v1/mirrors', { body: '{"token": hunter2}' });
    expect(body['detail']).toBe('reading the request body: it is not JSON');
    const { body: cut } = await api.ask('POST', '/v1/mirrors', { body: '{"token": "hunter2' });
    expect(cut['detail']).toBe('reading the request body: it is not JSON at character 18');
  });

  it('that are not UTF-8 are refused', async () => {
    const head = `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 4\r\n\r\n`;
    expect(await rawExchange(api.server.port, Buffer.concat([Buffer.from(head), Buffer.from([0x22, 0xc3, 0x28, 0x22])]))).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  it.each([
    undefined,
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json; charset=latin1',
  ])('of the type %s are refused', async (type) => {
    const answer = await rawExchange(
      api.server.port,
      `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n${type === undefined ? '' : `Content-Type: ${type}\r\n`}Content-Length: 2\r\nConnection: close\r\n\r\n{}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 415 /);
    expect(answer).toContain('"code":"UNSUPPORTED_MEDIA_TYPE"');
  });

  it('of 10 MiB are refused', async () => {
    const answer = await api.ask('POST', '/v1/mirrors', { body: `{"a":"${'x'.repeat(10 * 2 ** 20)}"}` });
    expect([answer.status, answer.body['code'], isProblem(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE', true]);
  });

  it('of 10 MiB are refused before they are sent', async () => {
    const head = `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nContent-Length: ${10 * 2 ** 20}\r\n\r\n{`;
    expect(await rawExchange(api.server.port, head, (answer) => answer.includes('PAYLOAD_TOO_LARGE'))).toMatch(
      /^HTTP\/1\.1 413 /,
    );
  });

  it('of 10 MiB are not asked for', async () => {
    const head = `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${10 * 2 ** 20}\r\n\r\n`;
    expect(await rawExchange(api.server.port, head, (answer) => answer.includes('PAYLOAD_TOO_LARGE'))).toMatch(
      /^HTTP\/1\.1 413 /,
    );
  });

  it('that never say how long they are are read only so far', async () => {
    const head = `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    expect(await rawExchange(api.server.port, head + chunk.repeat(5), (answer) => answer.includes('PAYLOAD_TOO_LARGE'))).toMatch(
      /^HTTP\/1\.1 413 /,
    );
  });

  it('of verbs are not read either', async () => {
    const head = `POST /v1/mirrors/east-west/orders/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nContent-Length: ${10 * 2 ** 20}\r\n\r\n{`;
    expect(await rawExchange(api.server.port, head, (answer) => answer.includes('PAYLOAD_TOO_LARGE'))).toMatch(
      /^HTTP\/1\.1 413 /,
    );
  });
});

describe('paths', () => {
  it.each([
    '/nowhere',
    '/v1',
    '/v1/mirrors/',
    '/v1//mirrors',
    '/v1/mirrors/east-west',
    '/v1/mirrors/..%2f..%2fetc/passwd',
    '/v1/mirrors/east-west/..%2forders',
    '/v1/mirrors/east-west/orders%00',
    '/v1/mirrors/__proto__/constructor',
    '/v1/mirrors/%E0%A4%A/orders',
    '/v1/clusters/%2e%2e%2f/topics',
    '/v1/clusters/rmq-east/topics/%00',
    `/v1/clusters/rmq-east/topics/${'x'.repeat(600)}`,
    '/V1/MIRRORS',
    '/.env',
  ])('%s leads nowhere', async (path) => {
    const answer = await rawExchange(
      api.server.port,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toContain('"code":"NOT_FOUND"');
  });

  it.each([
    '/healthz/../v1/mirrors',
    '/healthz/%2e%2e/v1/mirrors',
    '/openapi.json/..//v1/mirrors',
    '/healthz/',
    '/HEALTHZ',
    '/healthz%2f',
  ])('%s is no way around the token', async (path) => {
    expect(await rawExchange(api.server.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 401 /,
    );
  });

  it.each(['\\\\evil', 'http://evil.example:99999/', '*'])('the target %s is refused', async (target) => {
    const answer = await rawExchange(api.server.port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 40[01] /);
    expect(answer).not.toMatch(/\.ts|node:/);
  });

  it.each([
    ['PUT', '/v1/mirrors', 'GET, POST, HEAD'],
    ['DELETE', '/v1/mirrors', 'GET, POST, HEAD'],
    ['GET', '/v1/mirrors/east-west/orders/pause', 'POST'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['POST', '/v1/mirrors/east-west/orders', 'GET, PATCH, DELETE, HEAD'],
  ])('%s is no method of %s', async (method, path, allow) => {
    const answer = await api.ask(method, path);
    expect([answer.status, answer.body['code'], answer.headers.get('allow'), isProblem(answer)]).toEqual([
      405,
      'METHOD_NOT_ALLOWED',
      allow,
      true,
    ]);
  });

  it('HEAD is GET without the body', async () => {
    const { status, text } = await api.ask('HEAD', '/v1/mirrors');
    expect([status, text]).toEqual([200, '']);
  });
});

describe('every answer', () => {
  it.each(['/healthz', '/v1/mirrors', '/nowhere'])(
    'carries headers that keep browsers careful, and a request id (%s)',
    async (path) => {
      const { headers } = await api.ask('GET', path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('x-request-id')).toMatch(/^[a-z0-9]+-[a-z0-9]+$/);
      expect(headers.get('x-powered-by')).toBeNull();
    },
  );

  it('has the request id of its caller, if that is a sane one', async () => {
    expect((await api.ask('GET', '/healthz', { headers: { 'x-request-id': 'trace-1.a_b:c' } })).headers.get('x-request-id')).toBe(
      'trace-1.a_b:c',
    );
    expect(
      (await api.ask('GET', '/healthz', { headers: { 'x-request-id': 'a b{}' } })).headers.get('x-request-id'),
    ).not.toContain('{');
  });
});

describe('connections', () => {
  it('that are not HTTP get a 400 and end', async () => {
    const answer = await rawExchange(api.server.port, '\u0016\u0003\u0001garbage\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"INVALID_REQUEST"');
  });

  it('with too long headers get a 431 and end', async () => {
    const answer = await rawExchange(api.server.port, `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"status":431');
  });

  it('that send their headers or body drop by drop get a 408 and end', async () => {
    const slow = await startApi({ tokens: TOKENS, limits: { headersMillis: 100, requestMillis: 100 } });
    expect(await rawExchange(slow.server.port, 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ')).toMatch(/^HTTP\/1\.1 408 /);
    const body = `POST /v1/mirrors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    expect(await rawExchange(slow.server.port, body)).toMatch(/^HTTP\/1\.1 4\d\d /);
    await slow.server.close();
  });

  it('under way are answered while the server closes, and idle ones end', async () => {
    const hold = Promise.withResolvers<string[]>();
    const entered = Promise.withResolvers<void>();
    const closing = await startApi({
      control: {
        topics: () => {
          entered.resolve();
          return hold.promise;
        },
      },
    });
    const answer = closing.ask('GET', '/v1/clusters/rmq-east/topics');
    await entered.promise;
    const closed = closing.server.close();
    hold.resolve(['late']);
    expect((await answer).body).toEqual({ topics: ['late'] });
    await closed;
    await expect(closing.ask('GET', '/healthz')).rejects.toThrow('fetch failed');
  });

  it('that hang are cut when the grace is over', async () => {
    const entered = Promise.withResolvers<void>();
    const hanging = await startApi({ control: { topics: () => (entered.resolve(), new Promise(() => undefined)) } });
    const answer = hanging.ask('GET', '/v1/clusters/rmq-east/topics').then(
      () => 'answered',
      () => 'cut',
    );
    await entered.promise;
    await hanging.server.close(10);
    expect(await answer).toBe('cut');
  });

  it('cannot be opened where another process listens', async () => {
    await expect(serveHttp({ fetch: () => new Response() }, '127.0.0.1', api.server.port)).rejects.toThrow(
      /another process listens there/,
    );
  });
});
