import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN, type Api, READER, startApi } from '../http/kit.ts';
import { CONFIG, cli, type Outcome, writeConfig } from './kit.ts';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.server.close());
const ask = (args: readonly string[]): Promise<Outcome> =>
  cli([...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: ADMIN } });

describe('isthmus mirrors', () => {
  it('shows all as a table', async () => {
    const { code, out } = await ask(['mirrors']);
    expect(code).toBe(0);
    expect(out.split('\n').map((line) => line.replace(/ {2,}/g, ' | '))).toEqual([
      'MIRROR | FROM -> TO | STATE | BY | TOPICS | LANES | LAG | BEHIND',
      'east-west/orders | rmq-east -> pulsar-west | running | file | 1 | 0/1 | 10 | 0.5 s',
    ]);
  });

  it('shows all as JSON', async () => {
    const { out } = await ask(['mirrors', '--json']);
    expect(JSON.parse(out)).toMatchObject({ mirrors: [{ link: 'east-west', name: 'orders' }] });
  });

  it('shows one with its definition', async () => {
    const { code, out } = await ask(['mirrors', 'east-west/orders']);
    expect(code).toBe(0);
    expect(out).toContain('"rename": "persistent://public/default/{topic}"');
  });

  it('says that there are none', async () => {
    const empty = await startApi({ control: { mirrors: () => [] } });
    const { code, out } = await cli(['mirrors', '--url', empty.server.url, '--token', ADMIN]);
    expect([code, out]).toEqual([0, 'there are no mirrors; add one with `isthmus mirrors add`']);
    await empty.server.close();
  });

  it.each([
    ['pause', 'is paused'],
    ['resume', 'goes on'],
    ['restart', 'starts again'],
  ])('%s says that the mirror %s', async (verb, done) => {
    expect(await ask(['mirrors', verb, 'east-west/orders'])).toEqual({ code: 0, out: `east-west/orders ${done}`, err: '' });
  });

  it('tells a conflict as a failure', async () => {
    const { code, err } = await ask(['mirrors', 'delete', 'east-west/orders']);
    expect([code, err]).toEqual([1, 'isthmus: changing a mirror: it is defined in the file']);
  });

  it('tells an error as JSON when JSON is asked for', async () => {
    const { code, err } = await ask(['mirrors', 'pause', 'east-west/nowhere', '--json']);
    expect([code, JSON.parse(err)]).toEqual([
      2,
      expect.objectContaining({ code: 'NOT_FOUND', error: expect.stringContaining('east-west/nowhere') }),
    ]);
  });
});

describe('isthmus lanes', () => {
  it('shows those of all mirrors, with their troubles and gaps below', async () => {
    const { code, out } = await ask(['lanes']);
    expect(code).toBe(0);
    expect(
      out.replace(/ {2,}/g, ' | '),
    ).toBe(`MIRROR | LANE | TARGET | STATE | NEXT | END | LAG | BEHIND | STORED | DROPPED | DEAD | GAPS
east-west/orders | orders-eu broker-a:3 | persistent://public/default/orders-eu 3 | waiting | 125000 | 125010 | 10 | 0.5 s | 125,000 | 0 | 0 | 1

east-west/orders orders-eu broker-a:3: CONNECT_FAILED since 1970-01-01T00:00:02.000Z: connecting to broker-a: refused
east-west/orders orders-eu broker-a:3: gap from 5 to 9 (expired): the source had these records no more`);
  });

  it('shows those of one mirror as JSON', async () => {
    const { out } = await ask(['lanes', 'east-west/orders', '--json']);
    expect(JSON.parse(out)).toMatchObject({ lanes: [{ mirror: 'east-west/orders', lane: 'broker-a:3', next: '125000' }] });
  });

  it('does not let a name from a broker steer the terminal', async () => {
    const lanes = api.control.lanes({ link: 'east-west', mirror: 'orders' }).map((lane) => ({ ...lane, topic: 'a\u001b[2Jb' }));
    const odd = await startApi({ control: { lanes: () => lanes } });
    const { out } = await cli(['lanes', '--url', odd.server.url, '--token', ADMIN]);
    expect(out).toContain('a\\x1b[2Jb');
    expect(out).not.toContain('\u001b');
    await odd.server.close();
  });
});

describe('the process is found', () => {
  it('by the configuration file, with its address and token', async () => {
    const file = writeConfig(CONFIG(`127.0.0.1:${api.server.port}`, ADMIN));
    expect((await cli(['mirrors', '-c', file])).code).toBe(0);
  });

  it('by the environment', async () => {
    expect((await cli(['mirrors'], { environment: { ISTHMUS_URL: api.server.url, ISTHMUS_TOKEN: READER } })).code).toBe(0);
  });

  it('but without a token it says which ways there are', async () => {
    const { code, err } = await cli(['mirrors', '--url', api.server.url]);
    expect([code, err]).toEqual([2, expect.stringMatching(/no token[\s\S]*--token, ISTHMUS_TOKEN, or -c FILE/)]);
  });

  it('not where nothing listens', async () => {
    const { code, out, err } = await cli(['lanes', '--url', 'http://127.0.0.1:1']);
    expect([code, out]).toEqual([3, '']);
    expect(err).toContain('cannot reach http://127.0.0.1:1: ');
    expect(err).not.toContain('.ts');
  });

  it('not where something else answers', async () => {
    const server = createServer((request, response) => response.end(request.url === '/v1/mirrors' ? '<html>' : '{}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await cli(['mirrors', '--url', url])).toMatchObject({ code: 3, err: expect.stringContaining('is this its address?') });
    expect(await cli(['lanes', 'a/b', '--url', url])).toMatchObject({ code: 3 });
    server.close();
  });

  it.each(['nonsense', 'ftp://x', ''])('not at %j, which is no address', async (url) => {
    expect((await cli(['mirrors', '--url', url])).code).toBe(2);
  });
});
