import { beforeEach, describe, expect, it } from 'vitest';
import type { FailbackPolicy, FailbackView } from '../../../../src/control/failback/api.ts';
import { LostKeys } from '../../../../src/control/failback/lost-keys.ts';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../../src/drivers/memory/network.ts';
import type { MemoryMessage } from '../../../../src/drivers/memory/queue-broker.ts';
import { MemoryEntrySource } from '../../../../src/drivers/memory/source.ts';
import { entryPosition, offsetPosition } from '../../../../src/model/position.ts';
import { formatProvenance } from '../../../../src/model/provenance.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import { hanging, Stage, specOf } from '../kit.ts';

const KEY = { link: 'l', mirror: 'm' };
const COPY = 'orders-copy';
const REVIEW = 'to-look-at';

let stage: Stage;
let supervisor: Supervisor;
/** With so many letters in the review topic the next one hangs. */
let hangsAt: number;

/** A target that can be read back. */
function readable(cluster: Cluster): Cluster {
  const network = new MemoryNetwork(stage.time.clock(), stage.random.next, () => NO_FAULTS);
  const { sink } = cluster;
  if (sink === undefined) throw new Error('it cannot be written');
  return {
    ...cluster,
    source: new MemoryEntrySource(stage.target, network),
    sink: hanging(sink, 'writeDeadLetter', () => stage.stored(REVIEW).length >= hangsAt),
  };
}

async function startProcess(): Promise<void> {
  supervisor = stage.start({ wrap: { target: readable } });
  await stage.time.pass(5_000);
}

/** The note of a failover that has come to its end. */
async function failOver(kind = 'unplanned', state = 'done'): Promise<void> {
  await stage.outcome(supervisor.pauseMirror(KEY));
  const steps = [{ step: 'fence', startedAt: stage.time.clock().now(), endedAt: null, detail: '' }];
  const status = { id: 'f-1', link: 'l', kind, state, step: 'release', steps, plan: {}, certificate: null, trouble: null };
  await stage.store.saveNote('failover/l', JSON.stringify({ version: 1, status, drainMillis: 0 }));
  await stage.time.pass(1_000);
}

const markOf = (cluster: string, topic: string, lane: string, first = offsetPosition(0)): string =>
  formatProvenance({ cluster, topic, lane, runs: [{ first, count: 1 }], time: 0, passed: [] });

function produceOne(id: string, message: Partial<MemoryMessage> = {}, lane = 'broker-a:0'): void {
  stage.produce(1, { body: Buffer.from(id), ...message }, 'orders', lane);
}

function writeOnTarget(id: string, key: string, mark?: string): void {
  stage.target.store(COPY, 0, { mark, records: [{ body: Buffer.from(id), key, mark: undefined }] });
}

/** What the source got while nobody mirrored it: lost-0 to lost-4, beside what the target has already or has given. */
async function comeBack(): Promise<void> {
  writeOnTarget('own-a-1', 'a');
  await stage.time.pass(1_000);
  writeOnTarget('own-a-2', 'a');
  writeOnTarget('own-z', 'z');
  produceOne('lost-0', { key: 'a' });
  produceOne('lost-1', { key: 'b' });
  // Stored, but the checkpoint did not come to be kept.
  produceOne('stored', { key: 'b' });
  writeOnTarget('stored', 'b', markOf('east', 'orders', 'broker-a:0', offsetPosition(12)));
  produceOne('came-back', { key: 'z', mark: markOf('west', COPY, '0', entryPosition(1, 0)) });
  produceOne('lost-2', { key: 'a' });
  produceOne('lost-3', { key: 'c' }, 'broker-a:1');
  produceOne('lost-4', {}, 'broker-a:1');
  await stage.time.pass(1_000);
}

async function ended(): Promise<FailbackView> {
  let status = supervisor.failbacks.status('l');
  for (let i = 0; i < 100; i++) {
    await stage.time.pass(1_000);
    status = supervisor.failbacks.status('l');
    if ((await status).state !== 'running') break;
  }
  return await status;
}

async function list(): Promise<FailbackView> {
  await stage.outcome(supervisor.failbacks.start({ link: 'l' }));
  return await ended();
}

async function apply(policy: FailbackPolicy, changes: object = {}): Promise<FailbackView | { readonly code: string }> {
  const { listing } = await supervisor.failbacks.status('l');
  const reviewTopic = policy === 'review' ? REVIEW : undefined;
  return await stage.outcome(supervisor.failbacks.start({ link: 'l', policy, listing: listing?.id, reviewTopic, ...changes }));
}

const lostIn = (topic: string): string[] =>
  stage
    .stored(topic)
    .filter((body) => body.startsWith('lost'))
    .sort();

const LOST = ['lost-0', 'lost-1', 'lost-2', 'lost-3', 'lost-4'];

beforeEach(async () => {
  stage = new Stage();
  hangsAt = Number.POSITIVE_INFINITY;
  stage.source.addQueues('orders', 'broker-a', 2);
  await startProcess();
  await stage.outcome(supervisor.addMirror('l', specOf('m', { rename: '{topic}-copy' })));
  stage.produce(10, { key: 'a' });
  stage.produce(5, { key: 'b' }, 'orders', 'broker-a:1');
  await stage.time.pass(10_000);
});

describe('listing what a lost source still has', () => {
  it('finds exactly that, and the keys that were written on both sides', async () => {
    await failOver();
    await comeBack();
    const { state, listing, next } = await list();
    expect([state, next]).toEqual([
      'listed',
      ['say what becomes of the 5 records: isthmus failback l --policy append, drop or review'],
    ]);
    expect(listing?.listed.map(({ lane, position, key }) => `${lane} ${position} ${key}`)).toEqual([
      'broker-a:0 10 a',
      'broker-a:0 11 b',
      'broker-a:0 14 a',
      'broker-a:1 5 c',
      'broker-a:1 6 null',
    ]);
    expect(listing).toMatchObject({ failover: 'f-1', records: 5, unkeyed: 1, keys: 3, untracked: 0, conflicts: 1, notes: [] });
    expect(listing?.lanes).toMatchObject([
      { lane: 'broker-a:0', from: '10', end: '15', records: 3, stored: 1, fromTarget: 1, filtered: 0 },
      { lane: 'broker-a:1', from: '5', end: '7', records: 2, stored: 0, fromTarget: 0, filtered: 0 },
    ]);
    expect(listing?.keyList).toMatchObject([
      { key: 'a', records: 2, onTarget: 2 },
      { key: 'b', records: 1, onTarget: 0, newestOnTarget: null },
      { key: 'c', records: 1, onTarget: 0 },
    ]);
    expect(lostIn(COPY)).toEqual([]);
    expect(supervisor.mirror(KEY).state).toBe('paused');
  });

  it('does not take for a conflict what was written before the failover', async () => {
    writeOnTarget('own-before', 'a');
    await stage.time.pass(1_000);
    await failOver();
    produceOne('lost-0', { key: 'a' });
    expect((await list()).listing).toMatchObject({ records: 1, conflicts: 0 });
  });

  it('finds what lies in a queue that nobody has mirrored yet', async () => {
    await failOver();
    stage.source.addQueues('orders', 'broker-b', 1);
    produceOne('lost-0', { key: 'n' }, 'broker-b:0');
    const { listing } = await list();
    expect(listing?.listed).toMatchObject([{ lane: 'broker-b:0', position: '0', key: 'n' }]);
  });

  it('says when a lane is not there to be read', async () => {
    stage.source.addQueues('orders', 'broker-b', 1);
    produceOne('early', {}, 'broker-b:0');
    await stage.time.pass(10_000);
    await failOver();
    stage.source.setAway('broker-b', true);
    expect((await list()).listing?.notes).toEqual([expect.stringContaining('orders broker-b:0: east does not name it now')]);
  });

  it.each([
    ['planned', 'done'],
    ['unplanned', 'failed'],
  ])('is refused after a failover that was %s and is %s', async (kind, state) => {
    await failOver(kind, state);
    expect(await stage.outcome(supervisor.failbacks.start({ link: 'l' }))).toEqual({ code: 'CONFLICT' });
  });

  it('is refused where nothing stands still, and where there was no failover', async () => {
    expect(await stage.outcome(supervisor.failbacks.start({ link: 'l' }))).toEqual({ code: 'NOT_FOUND' });
    await failOver();
    await stage.outcome(supervisor.resumeMirror(KEY));
    expect(await stage.outcome(supervisor.failbacks.start({ link: 'l' }))).toEqual({ code: 'CONFLICT' });
    expect(await stage.outcome(supervisor.failbacks.status('l'))).toEqual({ code: 'NOT_FOUND' });
  });

  it('begins once of two requests at a time', async () => {
    await failOver();
    const both = Promise.allSettled([supervisor.failbacks.start({ link: 'l' }), supervisor.failbacks.start({ link: 'l' })]);
    await stage.time.pass(20_000);
    expect((await both).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a policy for what was listed', () => {
  beforeEach(async () => {
    await failOver();
    await comeBack();
    await list();
  });

  it('append brings all of it, behind what the target has, and the mirrors run again', async () => {
    await apply('append');
    expect(await ended()).toMatchObject({ state: 'done', policy: 'append', resumed: ['m'] });
    await stage.time.pass(10_000);
    expect(lostIn(COPY)).toEqual(LOST);
    expect(stage.stored(COPY).filter((body) => body === 'stored')).toHaveLength(1);
    expect(stage.stored(COPY)).not.toContain('came-back');
  });

  it('drop leaves out what was listed, and nothing else', async () => {
    produceOne('after-the-listing', { key: 'a' });
    await apply('drop');
    expect(await ended()).toMatchObject({ state: 'done', resumed: ['m'] });
    produceOne('later', {}, 'broker-a:1');
    await stage.time.pass(10_000);
    expect(lostIn(COPY)).toEqual([]);
    expect(stage.stored(COPY)).toEqual(expect.arrayContaining(['after-the-listing', 'later']));
    expect(supervisor.mirror(KEY).lagRecords).toBe(0);
  });

  it('review keeps what was listed in a topic of its own, each record with where it came from', async () => {
    produceOne('after-the-listing', { key: 'a' });
    await apply('review');
    expect(await ended()).toMatchObject({ state: 'done', reviewed: 5, resumed: ['m'] });
    await stage.time.pass(10_000);
    expect(stage.stored(REVIEW).sort()).toEqual(LOST);
    expect(lostIn(COPY)).toEqual([]);
    expect(stage.stored(COPY)).toContain('after-the-listing');
    const [first] = stage.target.history(REVIEW, 0).flatMap(({ records }) => records);
    expect(first).toMatchObject({
      key: 'a',
      properties: { 'ISTHMUS-DEAD-LETTER-LANE': 'broker-a:0', 'ISTHMUS-DEAD-LETTER-POSITION': '10' },
    });
  });

  it('is gone on with by the next process, and nothing is missing then', async () => {
    // Those of the first lane are there, and it is kept that they are.
    hangsAt = 3;
    await apply('review');
    await stage.time.pass(5_000);
    stage.kill(supervisor);
    hangsAt = Number.POSITIVE_INFINITY;
    // The lease of the dead process has to run out.
    await stage.time.pass(60_000);
    await startProcess();
    expect(await ended()).toMatchObject({ state: 'done', reviewed: 5, resumed: ['m'] });
    await stage.time.pass(10_000);
    expect(lostIn(REVIEW)).toEqual(LOST);
    expect(lostIn(COPY)).toEqual([]);
  });

  it('is taken over by a process that was there when the other one died', async () => {
    hangsAt = 0;
    await apply('review');
    stage.kill(supervisor);
    hangsAt = Number.POSITIVE_INFINITY;
    const note = await stage.store.loadNote('failback/l');
    await stage.store.saveNote('failback/l', undefined);
    await startProcess();
    await stage.store.saveNote('failback/l', note);
    expect(await stage.outcome(supervisor.failbacks.cancel('l'))).toEqual({ code: 'CONFLICT' });
    expect(await apply('drop')).toEqual({ code: 'CONFLICT' });
    await apply('review');
    expect(await ended()).toMatchObject({ state: 'done', reviewed: 5, resumed: ['m'] });
    expect(lostIn(REVIEW)).toEqual(LOST);
  });

  it('can be cancelled and gone on with, by the same policy only', async () => {
    hangsAt = 0;
    await apply('review');
    await stage.time.pass(2_000);
    expect(await stage.outcome(supervisor.failbacks.cancel('l'))).toMatchObject({ state: 'cancelled' });
    expect(supervisor.mirror(KEY).state).toBe('paused');
    hangsAt = Number.POSITIVE_INFINITY;
    expect(await apply('append')).toEqual({ code: 'CONFLICT' });
    await apply('review');
    expect(await ended()).toMatchObject({ state: 'done', reviewed: 5 });
  });

  it('is refused for another listing, a topic that is mirrored, or a mirror that has run since', async () => {
    expect(await apply('drop', { listing: 'another' })).toEqual({ code: 'CONFLICT' });
    expect(await apply('review', { reviewTopic: COPY })).toEqual({ code: 'INVALID_REQUEST' });
    expect(await apply('review', { reviewTopic: undefined })).toEqual({ code: 'INVALID_REQUEST' });
    expect(await apply('review', { reviewTopic: 'NO NAME' })).toEqual({ code: 'INVALID_REQUEST' });
    expect(await apply('drop', { reviewTopic: REVIEW })).toEqual({ code: 'INVALID_REQUEST' });
    await stage.outcome(supervisor.resumeMirror(KEY));
    expect(await apply('drop')).toEqual({ code: 'CONFLICT' });
    await stage.outcome(supervisor.pauseMirror(KEY));
    expect(await apply('drop')).toEqual({ code: 'CONFLICT' });
  });

  it('is not done a second time', async () => {
    await apply('append');
    await ended();
    expect(await apply('append')).toEqual({ code: 'CONFLICT' });
  });

  it('names the way back', async () => {
    await apply('append');
    const { reverse, next } = await ended();
    expect(reverse).toMatchObject([{ link: 'back', mirrors: 0, running: 0 }]);
    expect(next.at(-1)).toBe('then plan the way back: isthmus failover plan back');
  });
});

describe('the keys of lost records', () => {
  it('are told apart up to a limit, and the others counted', () => {
    const keys = new LostKeys(2);
    const place = { mirror: 'm', topic: 't', targetTopic: 'c' };
    for (const [time, key] of ['a', 'b', 'c', 'a', 'c'].entries()) keys.add(place, key, time);
    expect([keys.count, keys.untracked]).toEqual([2, 2]);
    expect(keys.list(10)).toMatchObject([
      { key: 'a', records: 2, newest: 3 },
      { key: 'b', records: 1, newest: 1 },
    ]);
  });
});
