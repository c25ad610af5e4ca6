import { beforeEach, describe, expect, it } from 'vitest';
import type { ReplayRequest, ReplayStatus } from '../../../../src/control/replay/api.ts';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import { openQueueCluster } from '../../../../src/drivers/memory/cluster.ts';
import { type MemoryNetwork, NO_FAULTS } from '../../../../src/drivers/memory/network.ts';
import { type MemoryMessage, QueueBroker } from '../../../../src/drivers/memory/queue-broker.ts';
import type { IsthmusError } from '../../../../src/errors.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import { SeededRandom } from '../../../simulation/random.ts';
import { Stage, specOf } from '../kit.ts';

const KEY = { link: 'l', mirror: 'm' };
const LETTERS = 'orders-copy-dead-letter';
const SPEC = specOf('m', { rename: '{topic}-copy', deadLetterTopic: '{target}-dead-letter', onBadRecord: 'dead-letter' });

let stage: Stage;
let west: QueueBroker;
let supervisor: Supervisor;

const queues = (_: Cluster, network: MemoryNetwork): Cluster => openQueueCluster('west', west, network);

async function start(): Promise<void> {
  supervisor = stage.start({ mirrors: [SPEC], wrap: { target: queues } });
  await stage.time.pass(20_000);
}

beforeEach(async () => {
  stage = new Stage();
  west = new QueueBroker(stage.time.clock());
  stage.source.addQueues('orders', 'broker-a', 2);
  await start();
});

/** A dead letter of a record of the source's first or second queue. */
function letter(queue: number, offset: number, changes: Readonly<Record<string, string>> = {}): MemoryMessage {
  const about = { CLUSTER: 'east', TOPIC: 'orders', LANE: `broker-a:${queue}`, POSITION: String(offset), REASON: 'too large' };
  const named = Object.entries({ ...about, ...changes }).map(([name, value]) => [`ISTHMUS-DEAD-LETTER-${name}`, value]);
  return {
    body: Buffer.from(`${queue}/${offset}`),
    key: `k${offset % 3}`,
    properties: { own: 'kept', ...Object.fromEntries(named) },
    mark: `1;east;orders;broker-a:${queue};${offset};0`,
  };
}

function post(...letters: readonly MemoryMessage[]): void {
  west.growTo(LETTERS, 'broker-a', 1);
  for (const each of letters) west.produce(LETTERS, 'broker-a:0', each);
}

const REQUEST: ReplayRequest = { key: KEY, topics: undefined, limit: undefined, dryRun: false, skipRefused: false };

async function replayed(changes: Partial<ReplayRequest> = {}): Promise<ReplayStatus> {
  supervisor.replays.start({ ...REQUEST, ...changes });
  for (let i = 0; i < 200 && supervisor.replays.get(KEY).state === 'running'; i++) await stage.time.pass(500);
  return supervisor.replays.get(KEY);
}

const letters = (): readonly unknown[] => (west.topics.includes(LETTERS) ? west.history(LETTERS, 'broker-a:0') : []);
const back = (queue: number): string[] => west.history('orders-copy', `broker-a:${queue}`).map(({ body }) => body.toString());

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as IsthmusError).code;
  }
  return 'none';
}

describe('replaying dead letters', () => {
  it('puts each back once, in its order, where its lane goes, as the record that it was', async () => {
    post(letter(0, 3), letter(1, 1), letter(0, 5), letter(1, 0));
    const status = await replayed();
    expect(status).toMatchObject({ state: 'done', topics: [{ found: 4, replayed: 4, refused: 0, unfit: 0 }], trouble: null });
    expect([back(0), back(1)]).toEqual([
      ['0/3', '0/5'],
      ['1/1', '1/0'],
    ]);
    const [first] = west.history('orders-copy', 'broker-a:0');
    expect(first).toMatchObject({ key: 'k0', properties: { own: 'kept' } });
    expect(Object.keys(first?.properties ?? {})).toEqual(['own']);
    expect(first?.mark).toMatch(/^1;east;orders;broker-a:0;3;/);
    expect((await replayed()).topics).toMatchObject([{ found: 0, replayed: 0 }]);
    expect(back(0)).toHaveLength(2);
  });

  it('puts back once what a crash has written twice, also when the copy comes after a replay', async () => {
    post(letter(0, 3), letter(0, 3));
    expect((await replayed()).topics).toMatchObject([{ found: 1, unfit: 1, replayed: 1 }]);
    post(letter(0, 3), letter(0, 4));
    expect((await replayed()).topics).toMatchObject([{ found: 1, unfit: 2, replayed: 1 }]);
    expect(back(0)).toEqual(['0/3', '0/4']);
  });

  it('leaves alone what is no letter of this topic, or no record as it was', async () => {
    post(
      letter(0, 1, { PART: '1/2' }),
      letter(0, 2, { FORM: 'pulsar-entry' }),
      letter(0, 3, { TOPIC: 'refunds' }),
      letter(0, 4, { CLUSTER: 'north' }),
      { body: Buffer.from('somebody') },
      letter(0, 5),
    );
    expect((await replayed()).topics).toMatchObject([{ found: 1, unfit: 5, replayed: 1 }]);
    expect(back(0)).toEqual(['0/5']);
  });

  it('takes as many as it is asked for, and goes on behind them', async () => {
    post(...Array.from({ length: 5 }, (_, i) => letter(0, i)));
    expect((await replayed({ dryRun: true })).letters).toHaveLength(5);
    expect(back(0)).toEqual([]);
    expect((await replayed({ limit: 2 })).topics).toMatchObject([{ found: 2, replayed: 2 }]);
    expect(back(0)).toEqual(['0/0', '0/1']);
    expect((await replayed()).topics).toMatchObject([{ found: 3, replayed: 3 }]);
    expect(back(0)).toEqual(['0/0', '0/1', '0/2', '0/3', '0/4']);
  });

  it('runs once at a time for a mirror, can be cancelled, and goes on where it was', async () => {
    post(...Array.from({ length: 40 }, (_, i) => letter(i % 2, i)));
    supervisor.replays.start(REQUEST);
    expect(codeOf(() => supervisor.replays.start(REQUEST))).toBe('CONFLICT');
    supervisor.replays.cancel(KEY);
    await stage.time.pass(10_000);
    expect(supervisor.replays.get(KEY)).toMatchObject({ state: 'cancelled', trouble: null });
    await replayed();
    expect([...back(0), ...back(1)]).toHaveLength(40);
    expect(await replayed({ topics: ['nowhere'] })).toMatchObject({ state: 'failed', trouble: { code: 'NOT_FOUND' } });
    expect(codeOf(() => supervisor.replays.get({ link: 'l', mirror: 'other' }))).toBe('NOT_FOUND');
  });

  it('puts no record back that the mirror itself has stored since, as it was killed before it had kept its place', async () => {
    stage.faults = { ...NO_FAULTS, refusals: true };
    stage.storeIsAway = true;
    for (const [lane, count] of [
      [0, 5],
      [1, 3],
    ] as const) {
      for (let i = 0; i < count; i++)
        stage.source.produce('orders', `broker-a:${lane}`, { body: Buffer.from(`refuse:${lane}/${i}`), key: `k${i}` });
    }
    for (let i = 0; i < 20 && letters().length < 8; i++) await stage.time.pass(50);
    expect(letters()).toHaveLength(8);
    stage.kill(supervisor);
    // The cause is mended in between.
    stage.faults = NO_FAULTS;
    stage.storeIsAway = false;
    await start();
    const stored = [...back(0), ...back(1)];
    expect(stored).toHaveLength(8);
    post(letter(0, 100));
    // Said beforehand as well.
    const dry = await replayed({ dryRun: true });
    expect(dry.topics).toMatchObject([{ found: 9, stored: 8, replayed: 0 }]);
    expect(dry.letters.filter((each) => !each.stored)).toMatchObject([{ position: '100' }]);
    expect([...back(0), ...back(1)]).toEqual(stored);
    expect((await replayed()).topics).toMatchObject([{ found: 9, stored: 8, replayed: 1 }]);
    expect([...back(0), ...back(1)].toSorted()).toEqual([...stored, '0/100'].toSorted());
  });

  it('puts back once what was refused last, although the process is killed a while later: the mirror does not take it again', async () => {
    stage.faults = { ...NO_FAULTS, refusals: true };
    for (let i = 0; i < 3; i++) stage.source.produce('orders', 'broker-a:0', { body: Buffer.from(`refuse:${i}`) });
    await stage.time.pass(5_000);
    expect(supervisor.lanes(KEY)[0]).toMatchObject({ next: '3', deadLetters: 3 });
    stage.kill(supervisor);
    stage.faults = NO_FAULTS;
    await start();
    expect(back(0)).toEqual([]);
    expect((await replayed()).topics).toMatchObject([{ found: 3, replayed: 3 }]);
    expect(back(0)).toEqual(['refuse:0', 'refuse:1', 'refuse:2']);
  });

  it('loses and doubles none when the process is killed at any moment, again and again', { timeout: 30_000 }, async () => {
    const random = new SeededRandom(7);
    const count = (): number => back(0).length + back(1).length;
    const letters: MemoryMessage[] = [];
    let killedInside = 0;
    stage.faults = { ...NO_FAULTS, maxDelayMillis: 50 };
    for (let round = 0; round < 8; round++) {
      const more = Array.from({ length: 100 }, (_, i) => letter(i % 2, letters.length + i));
      letters.push(...more);
      post(...more);
      supervisor.replays.start(REQUEST);
      const moment = count() + random.next() * 50;
      // The lease of the one that was killed is waited for first.
      if (round > 0) await stage.time.pass(11_000);
      for (let i = 0; i < 800 && count() < moment; i++) await stage.time.pass(15);
      stage.kill(supervisor);
      if (count() >= moment && count() < letters.length) killedInside++;
      await start();
    }
    expect(killedInside).toBeGreaterThan(3);
    const last = await replayed();
    expect(last).toMatchObject({ state: 'done', trouble: null });
    // Also those that were stored and not kept account of.
    const [counts] = last.topics;
    expect(counts?.found).toBe((counts?.replayed ?? -1) + (counts?.stored ?? -1));
    for (const queue of [0, 1]) {
      const wanted = letters.flatMap(({ body }) => (body.toString().startsWith(`${queue}/`) ? [body.toString()] : []));
      expect(back(queue)).toEqual(wanted);
    }
    expect((await replayed()).topics).toMatchObject([{ found: 0 }]);
  });
});
