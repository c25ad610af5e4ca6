import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Rest } from '../../../../../src/drivers/pulsar/admin/rest.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { KeySharedWatch } from '../../../../../src/drivers/pulsar/sink/key-shared-watch.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { memoryLog } from '../../../../kit/pulsar-writing.ts';
import { type ManualClock, manualClock } from '../fake-broker.ts';

const TOPIC = 'persistent://public/default/t';

let web: http.Server;
let clock: ManualClock;
let rest: Rest;
let watch: KeySharedWatch;
let asked: number;
let answer: { readonly status: number; readonly types: Readonly<Record<string, string | null>> };

beforeEach(async () => {
  asked = 0;
  answer = { status: 200, types: {} };
  web = http.createServer((_, response) => {
    asked++;
    const subscriptions = Object.fromEntries(Object.entries(answer.types).map(([name, type]) => [name, { type }]));
    response.writeHead(answer.status).end(JSON.stringify({ subscriptions }));
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const address = web.address();
  const adminUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  clock = manualClock();
  rest = new Rest({ adminUrl, tls: undefined, credentials: credentialsOf(undefined) }, clock);
  watch = new KeySharedWatch(rest, { clock, log: memoryLog([]), random: () => 0, marks: plainMarks });
});

afterEach(async () => {
  rest.close();
  web.closeAllConnections();
  await new Promise((resolve) => web.close(resolve));
});

describe('the watch for Key_Shared subscriptions', () => {
  it('sees one come and go, while it is asked', async () => {
    const view = await watch.watch(TOPIC);
    expect(view.keyShared()).toBe(false);
    answer = { status: 200, types: { a: 'Shared', b: 'Key_Shared' } };
    clock.advance(11_000);
    await expect.poll(view.keyShared).toBe(true);
    answer = { status: 200, types: { a: 'Shared' } };
    clock.advance(11_000);
    await expect.poll(view.keyShared).toBe(false);
  });

  it('asks once for all writers of a topic, and never while nobody writes', async () => {
    const views = [await watch.watch(TOPIC), await watch.watch(TOPIC), await watch.watch(TOPIC)];
    for (const view of views) view.keyShared();
    clock.advance(3_600_000);
    expect(asked).toBe(1);
  });

  it('assumes one after a pause, until the cluster has said otherwise', async () => {
    const view = await watch.watch(TOPIC);
    clock.advance(60_000);
    expect(view.keyShared()).toBe(true);
    await expect.poll(view.keyShared).toBe(false);
  });

  it('remembers one whose type the broker forgot, until it is deleted', async () => {
    answer = { status: 200, types: { b: 'Key_Shared' } };
    const view = await watch.watch(TOPIC);
    answer = { status: 200, types: { b: null } };
    clock.advance(11_000);
    view.keyShared();
    await expect.poll(() => asked).toBe(2);
    clock.advance(11_000);
    expect(view.keyShared()).toBe(true);
    answer = { status: 200, types: {} };
    await expect.poll(() => asked).toBe(3);
    clock.advance(11_000);
    await expect.poll(view.keyShared).toBe(false);
  });

  it('assumes one while the cluster does not say', async () => {
    answer = { status: 403, types: {} };
    const view = await watch.watch(TOPIC);
    expect(view.keyShared()).toBe(true);
  });
});
