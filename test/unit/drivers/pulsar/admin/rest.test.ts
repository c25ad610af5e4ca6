import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Rest } from '../../../../../src/drivers/pulsar/admin/rest.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { failureOf, manualClock } from '../fake-broker.ts';

type Answer = { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string };
type Server = {
  readonly url: string;
  readonly seen: string[];
  answer: (path: string) => Answer | undefined;
  readonly close: () => Promise<void>;
};

/** Two web servers stand for two brokers: a standalone broker never redirects. */
let servers: Server[];
let rests: Rest[];

beforeEach(async () => {
  servers = [await serve(), await serve()];
  rests = [];
});

afterEach(async () => {
  for (const rest of rests) rest.close();
  await Promise.all(servers.map(async (server) => await server.close()));
});

async function serve(): Promise<Server> {
  const seen: string[] = [];
  const web = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'} ${body}`);
      const answer = server.answer(request.url ?? '');
      if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const address = web.address();
  const server: Server = {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    seen,
    answer: () => ({ status: 204 }),
    close: async () => {
      web.closeAllConnections();
      await new Promise((resolve) => web.close(resolve));
    },
  };
  return server;
}

function server(n: number): Server {
  const found = servers[n];
  if (found === undefined) throw new Error(`no server ${n}`);
  return found;
}

function open(adminUrl = server(0).url, clock = systemClock): Rest {
  const rest = new Rest({ adminUrl, tls: undefined, credentials: credentialsOf({ kind: 'token', token: 'secret' }) }, clock);
  rests.push(rest);
  return rest;
}

describe('the admin REST', () => {
  it('follows a redirect to another broker with method, body and credentials', async () => {
    server(0).answer = (path) => ({ status: 307, headers: { location: `${server(1).url}${path}?authoritative=true` } });
    expect(await open().send('PUT', '/persistent/a/b/c/partitions', 4)).toEqual({ status: 204, body: '' });
    expect(server(1).seen).toEqual(['PUT /admin/v2/persistent/a/b/c/partitions?authoritative=true Bearer secret 4']);
  });

  it('gives up going in circles', async () => {
    server(0).answer = (path) => ({ status: 307, headers: { location: path } });
    await expect(open().get('/x')).rejects.toMatchObject({ code: 'BROKER_BUSY', message: expect.stringContaining('redirects') });
    expect(server(0).seen).toHaveLength(21);
  });

  it('keeps the path of an admin URL behind a gateway', async () => {
    await open(`${server(0).url}/pulsar/`).send('GET', '/clusters');
    expect(server(0).seen[0]).toMatch(/^GET \/pulsar\/admin\/v2\/clusters /);
  });

  it.each([
    [401, 'ACCESS_DENIED'],
    [403, 'ACCESS_DENIED'],
    [429, 'BROKER_BUSY'],
    [503, 'BROKER_BUSY'],
    [412, 'BROKER_REFUSED'],
  ])('turns %i into %s with the broker’s reason, and never shows the token', async (status, code) => {
    server(0).answer = () => ({ status, body: '{"reason":"because \\"so\\""}' });
    const failure = await open()
      .get('/x')
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, message: expect.stringContaining('because') });
    expect(String(failure)).not.toContain('secret');
  });

  it('gives nothing for what is not there', async () => {
    server(0).answer = () => ({ status: 404, body: '{"reason":"Topic not found"}' });
    expect(await open().get('/x')).toBeUndefined();
  });

  it('says so when an answer is no JSON, when nobody listens, and when nobody answers', async () => {
    server(0).answer = () => ({ status: 200, body: '<html>' });
    await expect(open().get('/x')).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    await expect(open('http://127.0.0.1:1').get('/x')).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    server(0).answer = () => undefined;
    const clock = manualClock();
    const asking = open(server(0).url, clock).get('/slow');
    const failure = failureOf(asking);
    await expect.poll(() => server(0).seen.length).toBe(2);
    clock.advance(30_000);
    expect(await failure).toMatchObject({ code: 'REQUEST_TIMEOUT' });
  });

  it('says so when an answer breaks off, instead of waiting for its end or taking it for whole', async () => {
    server(0).answer = () => ({ status: 200, headers: { 'content-length': '100' }, body: '{"partitions":1}' });
    const asking = open().get('/x');
    asking.catch(() => undefined);
    await expect.poll(() => server(0).seen.length).toBe(1);
    await server(0).close();
    await expect(asking).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  });

  it.each(['', 'localhost:8080', 'ftp://x', 'pulsar://x:6650'])('cannot be at "%s"', (url) => {
    expect(() => open(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
