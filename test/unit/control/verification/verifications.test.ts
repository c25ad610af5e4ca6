import { beforeEach, describe, expect, it } from 'vitest';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import type { VerificationRequest, VerificationStatus } from '../../../../src/control/verification/api.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../../src/drivers/memory/network.ts';
import { MemoryEntrySource } from '../../../../src/drivers/memory/source.ts';
import type { IsthmusError } from '../../../../src/errors.ts';
import { BEFORE_ALL, offsetPosition } from '../../../../src/model/position.ts';
import { formatProvenance } from '../../../../src/model/provenance.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import { Stage, specOf } from '../kit.ts';

let stage: Stage;
let supervisor: Supervisor;
beforeEach(() => {
  stage = new Stage();
});

const KEY = { link: 'l', mirror: 'm' };
const COPY = 'orders-copy';

/** A target that can be read back. */
function readable(cluster: Cluster): Cluster {
  const network = new MemoryNetwork(stage.time.clock(), stage.random.next, () => NO_FAULTS);
  return { ...cluster, source: new MemoryEntrySource(stage.target, network) };
}

/** The same, of a broker that names an end which lies some entries before what it has acknowledged. */
function slowToShow(cluster: Cluster): Cluster {
  const { source, ...rest } = readable(cluster);
  if (source === undefined) throw new Error('it cannot be read');
  return {
    ...rest,
    source: {
      passesWhole: source.passesWhole,
      openLane: (...lane) => source.openLane(...lane),
      committed: (...group) => source.committed(...group),
      next: (position) => source.next(position),
      resolveStart: async (lane, start) =>
        start.kind === 'latest'
          ? (stage.target.entries(lane.topic, Number(lane.lane)).at(-3)?.position ?? BEFORE_ALL)
          : await source.resolveStart(lane, start),
    },
  };
}

const MIRROR = { rename: '{topic}-copy' };

async function start(changes: Parameters<typeof specOf>[1] = {}, target = readable): Promise<void> {
  supervisor = stage.start({ wrap: { target } });
  await stage.time.pass(1_000);
  await stage.outcome(supervisor.addMirror('l', specOf('m', { ...MIRROR, ...changes })));
}

async function verified(changes: Partial<VerificationRequest> = {}): Promise<VerificationStatus> {
  const { id } = supervisor.verifications.start({
    key: KEY,
    topics: undefined,
    from: undefined,
    to: undefined,
    repair: false,
    ...changes,
  });
  for (let i = 0; i < 100 && supervisor.verifications.get(id).state === 'running'; i++) await stage.time.pass(1_000);
  return supervisor.verifications.get(id);
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as IsthmusError).code;
  }
  return 'none';
}

const markOf = (offset: number): string =>
  formatProvenance({
    cluster: 'east',
    topic: 'orders',
    lane: 'broker-a:0',
    runs: [{ first: offsetPosition(offset), count: 1 }],
    time: 0,
    passed: [],
  });

/** Stores something with the mark of a mirrored record. */
function plant(offset: number, body = `orders/broker-a:0/${offset}`): void {
  stage.target.store(COPY, 0, { mark: markOf(offset), records: [{ body: Buffer.from(body), key: undefined, mark: undefined }] });
}

const found = ({ differences }: VerificationStatus): string[] =>
  differences.map(({ kind, lane, position }) => `${kind} ${lane} ${position}`);

describe('verifying a mirror', () => {
  beforeEach(() => {
    stage.source.addQueues('orders', 'broker-a', 2);
  });

  it('finds nothing where nothing is wrong', async () => {
    await start();
    stage.produce(300);
    stage.produce(40, { key: 'k' }, 'orders', 'broker-a:1');
    await stage.time.pass(20_000);
    const status = await verified();
    expect(status).toMatchObject({
      state: 'equal',
      phase: 'done',
      topics: ['orders'],
      progress: { sourceRecords: 340, sourceTotal: 340, targetRecords: 340, topicsDone: 1, unequalBlocks: 0 },
      differences: [],
      notes: [],
      trouble: null,
    });
  });

  it('says which lanes it could not compare', async () => {
    await start();
    stage.produce(10);
    stage.produce(10, {}, 'orders', 'broker-a:1');
    await stage.time.pass(20_000);
    stage.source.addQueues('orders', 'broker-b', 1);
    stage.source.setAway('broker-a', true);
    const status = await verified();
    expect(status.notes).toEqual([
      'orders broker-a:0: the source does not name it now, so nothing of it is compared',
      'orders broker-a:1: the source does not name it now, so nothing of it is compared',
      'orders broker-b:0: it has not begun, so nothing of it is compared',
    ]);
  });

  it('finds copies and changed records, each with its places', async () => {
    await start();
    stage.produce(100);
    await stage.time.pass(20_000);
    plant(7);
    plant(20, 'something else');
    const status = await verified();
    expect(status.counts).toEqual({ missing: 0, doubled: 2, changed: 1, reordered: 0, unexpected: 0 });
    expect(found(status)).toEqual(['doubled broker-a:0 7', 'doubled broker-a:0 20', 'changed broker-a:0 20']);
    expect(status.differences[0]?.target).toHaveLength(2);
    expect(status.state).toBe('different');
  });

  it('does not miss what the rules of the mirror leave out, nor what it has not come to yet', async () => {
    await start({ filter: { tags: ['paid'], properties: {} } });
    stage.produce(50, { tag: 'paid' });
    stage.produce(30, { tag: 'open' });
    await stage.time.pass(20_000);
    await stage.outcome(supervisor.pauseMirror(KEY));
    stage.produce(25, { tag: 'paid' });
    const status = await verified();
    expect(status).toMatchObject({ state: 'equal', absences: { tag: 30 }, progress: { sourceRecords: 80 } });
  });

  it('does not miss what is stored and not shown yet', async () => {
    await start({}, slowToShow);
    for (let i = 0; i < 10; i++) {
      stage.produce(5);
      await stage.time.pass(2_000);
    }
    expect(stage.stored()).toHaveLength(50);
    expect(await verified()).toMatchObject({
      state: 'equal',
      counts: { missing: 0 },
      progress: { targetRecords: 50 },
      notes: [],
    });
  });

  it('finds nothing wrong again and again while records are written', async () => {
    await start();
    const states: string[] = [];
    for (let round = 0; round < 4; round++) {
      const { id } = supervisor.verifications.start({
        key: KEY,
        topics: undefined,
        from: undefined,
        to: undefined,
        repair: false,
      });
      while (supervisor.verifications.get(id).state === 'running') {
        stage.produce(7, { key: 'k' });
        await stage.time.pass(100);
      }
      states.push(supervisor.verifications.get(id).state);
    }
    expect(states).toEqual(['equal', 'equal', 'equal', 'equal']);
    expect(stage.stored().length).toBeGreaterThan(25);
  });

  it('finds what is missing, sends it once while the mirror stands still, and lets that go on', async () => {
    await start({ filter: { tags: ['paid'], properties: {} } });
    for (let i = 0; i < 60; i++) stage.produce(1, { tag: i % 3 === 1 ? 'open' : 'paid' });
    await stage.time.pass(20_000);
    await stage.outcome(supervisor.changeMirror(KEY, specOf('m', MIRROR)));
    await stage.time.pass(10_000);
    const before = await verified();
    expect(before.counts).toEqual({ missing: 20, doubled: 0, changed: 0, reordered: 0, unexpected: 0 });
    expect(before.repair).toBeNull();
    expect(stage.stored()).toHaveLength(40);

    const repaired = await verified({ repair: true });
    expect(repaired).toMatchObject({ state: 'different', counts: { missing: 20 }, repair: { stored: 20, found: 0, left: 0 } });
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
    expect(stage.target.history(COPY, 0).every(({ mark }) => mark?.startsWith('1;east;orders;broker-a:0;') === true)).toBe(true);

    stage.produce(10);
    await stage.time.pass(20_000);
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
    // Late by nature: targets only grow at their end.
    expect((await verified({ repair: true })).counts).toMatchObject({ missing: 0, doubled: 0, changed: 0, reordered: 20 });
    expect(stage.stored()).toHaveLength(70);
  });

  it('sends nothing that is in the target after all', async () => {
    await start({ filter: { tags: ['paid'], properties: {} } });
    stage.produce(10, { tag: 'paid' });
    stage.produce(5, { tag: 'open' });
    stage.produce(10, { tag: 'paid' });
    await stage.time.pass(20_000);
    await stage.outcome(supervisor.changeMirror(KEY, specOf('m', MIRROR)));
    await stage.time.pass(10_000);
    const { id } = supervisor.verifications.start({ key: KEY, topics: undefined, from: undefined, to: undefined, repair: true });
    // Somebody else brings two of them in between.
    for (let i = 0; i < 1_000 && supervisor.verifications.get(id).phase !== 'repairing'; i++) await stage.time.pass(5);
    expect(supervisor.verifications.get(id).phase).toBe('repairing');
    plant(11);
    plant(12);
    await stage.time.pass(60_000);
    expect(supervisor.verifications.get(id).repair).toEqual({ stored: 3, found: 2, left: 0 });
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
  });

  it('tells what the target has deleted from what was never there, and sends neither', async () => {
    await start();
    stage.produce(400);
    await stage.time.pass(20_000);
    const stored = stage.stored().length;
    stage.target.trim(COPY, 0, 5);
    const kept = stage.target.entries(COPY, 0).reduce((sum, { records }) => sum + records.length, 0);
    const status = await verified({ repair: true });
    expect(status).toMatchObject({ state: 'equal', absences: { expired: stored - kept }, repair: null });
    expect(stage.stored()).toHaveLength(400);
  });

  it('does not repair what may have expired: without an index nobody knows', async () => {
    await start();
    stage.produce(400);
    await stage.time.pass(20_000);
    stage.target.trim(COPY, 0, 5);
    await stage.store.forgetMirror(KEY);
    const status = await verified({ repair: true });
    expect(status.state).toBe('different');
    expect(status.mayHaveExpired).toBe(status.counts.missing);
    expect(status.repair).toBeNull();
    expect(stage.stored()).toHaveLength(400);
  });

  it('begins where the mirror has begun', async () => {
    stage.produce(100);
    await start({ start: 'latest' });
    await stage.time.pass(10_000);
    stage.produce(60);
    await stage.time.pass(20_000);
    expect(stage.stored()).toHaveLength(60);
    const status = await verified({ repair: true });
    expect(status).toMatchObject({ state: 'equal', repair: null });
    expect(stage.stored()).toHaveLength(60);
  });

  it('compares what the source has stored within a time', async () => {
    await start();
    stage.produce(50);
    await stage.time.pass(60_000);
    const from = stage.time.clock().now();
    stage.produce(30);
    await stage.time.pass(60_000);
    const to = stage.time.clock().now();
    stage.produce(20);
    await stage.time.pass(20_000);
    plant(10);
    plant(60);
    plant(90);
    const status = await verified({ from, to });
    expect(status.progress.sourceRecords).toBe(30);
    expect(found(status)).toEqual(['doubled broker-a:0 60']);
  });
});

describe('verifications', () => {
  beforeEach(async () => {
    stage.source.addQueues('orders', 'broker-a', 1);
    await start();
    stage.produce(50);
    await stage.time.pass(20_000);
  });

  const request: VerificationRequest = { key: KEY, topics: undefined, from: undefined, to: undefined, repair: false };

  it('run one at a time for a mirror, and can be cancelled and forgotten', async () => {
    const { verifications } = supervisor;
    const { id } = verifications.start(request);
    expect(codeOf(() => verifications.start(request))).toBe('CONFLICT');
    verifications.remove(id);
    await stage.time.pass(5_000);
    expect(verifications.get(id)).toMatchObject({ state: 'cancelled', phase: 'done', trouble: null });
    expect(verifications.list().map((each) => each.id)).toEqual([id]);
    verifications.remove(id);
    expect(codeOf(() => verifications.get(id))).toBe('NOT_FOUND');
    expect((await verified()).state).toBe('equal');
  });

  it('run two at a time', async () => {
    for (const mirror of ['a', 'b', 'c']) {
      stage.source.addQueues(`topic-${mirror}`, 'broker-a', 1);
      await stage.outcome(supervisor.addMirror('l', specOf(mirror, { ...MIRROR, topics: [`topic-${mirror}`] })));
    }
    const { verifications } = supervisor;
    const begin = (mirror: string) => (): unknown => verifications.start({ ...request, key: { link: 'l', mirror } });
    expect([begin('a'), begin('b'), begin('c')].map(codeOf)).toEqual(['none', 'none', 'CONFLICT']);
    await stage.time.pass(30_000);
    expect(codeOf(begin('c'))).toBe('none');
  });

  it('keep the newest twenty', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 22; i++) ids.push((await verified()).id);
    expect(supervisor.verifications.list().map(({ id }) => id)).toEqual(ids.slice(2).reverse());
  });

  it.each([
    [{ key: { link: 'l', mirror: 'none' } }, 'NOT_FOUND'],
    [{ from: 5, to: 5 }, 'INVALID_REQUEST'],
  ])('refuse %o', (changes, code) => {
    expect(codeOf(() => supervisor.verifications.start({ ...request, ...changes }))).toBe(code);
  });

  it('do not repair what a dedup window by other ids may have left out', async () => {
    stage.source.addQueues('refunds', 'broker-a', 1);
    const dedup = { windowMillis: 60_000, maxIds: 1_000, id: { kind: 'producer' as const }, onStateLoss: 'continue' as const };
    await stage.outcome(supervisor.addMirror('l', specOf('d', { ...MIRROR, topics: ['refunds'], dedup })));
    const of = { ...request, key: { link: 'l', mirror: 'd' } };
    expect(codeOf(() => supervisor.verifications.start({ ...of, repair: true }))).toBe('INVALID_REQUEST');
    expect(codeOf(() => supervisor.verifications.start(of))).toBe('none');
  });

  it('fail for a topic that the mirror has not, and while the state store is away', async () => {
    expect(await verified({ topics: ['refunds'] })).toMatchObject({ state: 'failed', trouble: { code: 'NOT_FOUND' } });
    stage.storeIsAway = true;
    expect(await verified()).toMatchObject({ state: 'failed', trouble: { code: 'STATE_UNAVAILABLE' } });
  });

  it('end when the process does', async () => {
    const { id } = supervisor.verifications.start(request);
    expect(await stage.close(supervisor)).toBeLessThan(5_000);
    expect(supervisor.verifications.get(id).state).toBe('cancelled');
    expect(codeOf(() => supervisor.verifications.start(request))).toBe('CLOSED');
  });
});

describe('a target that cannot be read back', () => {
  it('is refused at once', async () => {
    stage.source.addQueues('orders', 'broker-a', 1);
    supervisor = stage.start();
    await stage.time.pass(1_000);
    await stage.outcome(supervisor.addMirror('l', specOf('m', MIRROR)));
    expect(
      codeOf(() =>
        supervisor.verifications.start({ key: KEY, topics: undefined, from: undefined, to: undefined, repair: false }),
      ),
    ).toBe('INVALID_REQUEST');
  });
});
