import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Rest } from '../../../../../src/drivers/pulsar/admin/rest.ts';
import { PulsarGroups } from '../../../../../src/drivers/pulsar/groups/groups.ts';
import { BrokerPool } from '../../../../../src/drivers/pulsar/net/broker-pool.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { FramePool } from '../../../../../src/lib/frame-pool.ts';
import { entryPosition } from '../../../../../src/model/position.ts';
import { memoryLog } from '../../../../kit/pulsar-writing.ts';

/** Topics of a web server that stands for a broker: how many partitions are said to be there, and which are served; each with 10 entries in ledger 5, and the group `app` at the place that was set last. */
type Topic = { readonly partitions: number; readonly served: number; readonly places: number[]; readonly status?: number };

let topics: Map<string, Topic>;
let seen: string[];
let web: http.Server;
let rest: Rest;
let pool: BrokerPool;
let groups: PulsarGroups;

beforeEach(async () => {
  topics = new Map();
  seen = [];
  web = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const path = (request.url ?? '').replace('/admin/v2/persistent/public/default/', '');
      seen.push(`${request.method} ${path}`);
      const { status, answer } = answerTo(path, body);
      response.writeHead(status).end(answer === undefined ? undefined : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const address = web.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const credentials = credentialsOf(undefined);
  rest = new Rest({ adminUrl: `http://127.0.0.1:${port}`, tls: undefined, credentials }, systemClock);
  const deps = { clock: systemClock, log: memoryLog([]), credentials, frames: new FramePool() };
  pool = new BrokerPool({ serviceUrl: 'pulsar://127.0.0.1:1', tls: undefined, listenerName: undefined }, deps);
  groups = new PulsarGroups({ rest, pool, clock: systemClock });
});

afterEach(async () => {
  rest.close();
  pool.close();
  web.closeAllConnections();
  await new Promise((resolve) => web.close(resolve));
});

function answerTo(path: string, body: string): { readonly status: number; readonly answer?: object } {
  const [, name = '', partition, what] = /^([a-z]+)(?:-partition-(\d+))?\/([^?]*)/.exec(path) ?? [];
  const topic = topics.get(name);
  if (topic === undefined) return { status: 404 };
  if (topic.status !== undefined) return { status: topic.status };
  if (what === 'partitioned-stats') return { status: 200, answer: { subscriptions: { app: { type: 'Shared', consumers: [] } } } };
  if (what === 'subscription/app/expireMessages') {
    topic.places[Number(partition)] = Number(/"entryId":(\d+)/.exec(body)?.[1]);
    return { status: 204 };
  }
  if (what !== 'partitioned-internalStats') return { status: 404 };
  const partitions = Array.from({ length: topic.served }, (_, i) => [
    `persistent://public/default/${name}-partition-${i}`,
    {
      lastConfirmedEntry: '5:9',
      ledgers: [{ ledgerId: 5, entries: 0 }],
      cursors: { app: { markDeletePosition: `5:${topic.places[i] ?? -1}`, totalNonContiguousDeletedMessagesRange: 0 } },
    },
  ]);
  return { status: 200, answer: { metadata: { partitions: topic.partitions }, partitions: Object.fromEntries(partitions) } };
}

const full = (name: string): string => `persistent://public/default/${name}`;

describe('groups of Pulsar', () => {
  it('are seen with the ends of the partitions in one request for each topic, and who consumes is asked for now and then', async () => {
    topics.set('orders', { partitions: 3, served: 3, places: [4, 9] });
    const surveys = await groups.survey([full('orders')]);
    expect(surveys.get(full('orders'))).toEqual({
      groups: [
        {
          group: 'app',
          topic: full('orders'),
          sharing: 'shared',
          members: 0,
          lanes: [5, 10, 0].map((entry, i) => ({ lane: String(i), next: entryPosition(5, entry), done: [] })),
        },
      ],
      extents: new Map(
        [0, 1, 2].map((partition) => [String(partition), { begin: entryPosition(5, 0), end: entryPosition(5, 10) }]),
      ),
    });
    await groups.survey([full('orders')]);
    expect(seen).toEqual([
      'GET orders/partitioned-internalStats',
      'GET orders/partitioned-stats?perPartition=false',
      'GET orders/partitioned-internalStats',
    ]);
  });

  it('of a topic that says nothing, or only half, are an error there, and hide no other topic', async () => {
    topics.set('orders', { partitions: 1, served: 1, places: [] });
    topics.set('half', { partitions: 3, served: 2, places: [] });
    topics.set('busy', { partitions: 1, served: 1, places: [], status: 503 });
    const surveys = await groups.survey(['orders', 'half', 'busy', 'absent'].map(full));
    expect(surveys.get(full('orders'))).toMatchObject({ groups: [{ group: 'app' }] });
    expect(surveys.get(full('half'))).toMatchObject({ code: 'BROKER_BUSY' });
    expect(surveys.get(full('busy'))).toMatchObject({ code: 'BROKER_BUSY' });
    expect(surveys.get(full('absent'))).toEqual({ groups: [], extents: new Map() });
    // Half an answer would look like groups that are gone.
    await expect(groups.progress(['orders', 'half'].map(full))).rejects.toMatchObject({ code: 'BROKER_BUSY' });
  });

  it('are moved with one request for each partition that is to move, and the topic is read as a whole before and after', async () => {
    topics.set('orders', { partitions: 3, served: 3, places: [4, 2, 8] });
    const places = [7, 3, 6].map((entry, i) => ({ lane: String(i), next: entryPosition(5, entry), done: [] }));
    const moved = await groups.move({ group: 'app', topic: full('orders'), sharing: 'shared', places, force: false });
    expect(moved).toEqual([
      { lane: '0', outcome: 'applied', next: entryPosition(5, 7), rereads: 0 },
      { lane: '1', outcome: 'same', next: entryPosition(5, 3), rereads: 0 },
      { lane: '2', outcome: 'ahead', next: entryPosition(5, 9), rereads: undefined },
    ]);
    expect(seen).toEqual([
      'GET orders/partitioned-internalStats',
      'GET orders/partitioned-stats?perPartition=false',
      'POST orders-partition-0/subscription/app/expireMessages',
      'GET orders/partitioned-internalStats',
    ]);
  });
});
