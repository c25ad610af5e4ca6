import { beforeEach, describe, expect, it } from 'vitest';
import { groupName } from '../../../src/control/group-name.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import type { Source } from '../../../src/spi/source.ts';
import { hanging, Stage, specOf, type Wrap } from './kit.ts';

/** How long a stop may take, whatever hangs. */
const LIMIT_MILLIS = 10_000;

describe('a process that is told to stop', () => {
  let stage: Stage;
  let armed: boolean;
  beforeEach(() => {
    stage = new Stage();
    stage.source.addQueues('orders', 'broker-a', 2);
    armed = false;
  });

  const whenArmed = (): boolean => armed;

  function wrapSource(wrap: (source: Source) => Source): Wrap {
    return { source: (cluster) => (cluster.source === undefined ? cluster : { ...cluster, source: wrap(cluster.source) }) };
  }

  function wrapSink(wrap: (sink: Sink) => Sink): Wrap {
    return { target: (cluster) => (cluster.sink === undefined ? cluster : { ...cluster, sink: wrap(cluster.sink) }) };
  }

  /** The same sink or source, whose writers or readers hang in one method. */
  function withHangingPart<T extends object>(object: T, opens: string, method: string): T {
    return new Proxy(object, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (name !== opens) return value.bind(target);
        return async (...args: unknown[]) => hanging((await value.apply(target, args)) as object, method, whenArmed);
      },
    });
  }

  const admin = (method: string) => (cluster: Cluster) => ({ ...cluster, admin: hanging(cluster.admin, method, whenArmed) });
  const readerHangs = (method: string): Wrap => wrapSource((source) => withHangingPart(source, 'openLane', method));
  const writerHangs = (method: string): Wrap => wrapSink((sink) => withHangingPart(sink, 'openWriter', method));
  const sourceHangs = (method: string): Wrap => wrapSource((source) => hanging(source, method, whenArmed));
  const sinkHangs = (method: string): Wrap => wrapSink((sink) => hanging(sink, method, whenArmed));
  const storeHangs = (method: string): Wrap => ({ store: (store) => hanging(store, method, whenArmed) });

  const cases: [string, () => Wrap][] = [
    ['nothing', () => ({})],
    ['closing a reader', () => readerHangs('close')],
    ['a commit at the source', () => readerHangs('commit')],
    ['reading', () => readerHangs('read')],
    ['closing a writer', () => writerHangs('close')],
    ['waiting for room', () => writerHangs('ready')],
    ['saving a checkpoint', () => storeHangs('saveCheckpoints')],
    ['saving the index', () => storeHangs('appendIndex')],
    ['asking the store for its generation', () => storeHangs('generation')],
    ['listing topics', () => ({ source: admin('listTopics') })],
    ['describing a topic', () => ({ source: admin('describeTopic') })],
  ];

  it.each(cases)('ends within 10 s when %s hangs, with all that was read stored once', async (_, makeWrap) => {
    const wrap = makeWrap();
    const first = stage.start({ mirrors: [specOf('m')], wrap });
    stage.produce(50);
    await stage.time.pass(6_500);
    stage.produce(10);
    armed = true;
    await stage.time.pass(7_000);
    expect(await stage.close(first)).toBeLessThanOrEqual(LIMIT_MILLIS);
    armed = false;
    stage.produce(10);
    stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(60_000);
    expect(stage.stored()).toEqual(stage.sent());
  });

  const opening: [string, () => Wrap][] = [
    ['opening a writer', () => sinkHangs('openWriter')],
    ['looking at the target', () => sinkHangs('scan')],
    ['asking for the end of the target', () => sinkHangs('tail')],
    ['opening a reader', () => sourceHangs('openLane')],
    ['asking for the group offset', () => sourceHangs('committed')],
    ['resolving the start', () => sourceHangs('resolveStart')],
    ['the first commit', () => readerHangs('commit')],
    ['loading checkpoints', () => storeHangs('loadCheckpoints')],
    ['loading the registry', () => storeHangs('loadRegistry')],
    ['making the target topic', () => ({ target: admin('ensureTopic') })],
  ];

  it.each(opening)('ends within 10 s when %s hangs from the beginning', async (_, makeWrap) => {
    armed = true;
    const first = stage.start({ mirrors: [specOf('m')], wrap: makeWrap() });
    stage.produce(50);
    await stage.time.pass(7_000);
    expect(await stage.close(first)).toBeLessThanOrEqual(LIMIT_MILLIS);
    armed = false;
    stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(60_000);
    expect(stage.stored()).toEqual(stage.sent());
  });

  it('ends within 10 s while a dead letter hangs', async () => {
    armed = true;
    stage.faults = { ...stage.faults, refusals: true };
    const spec = specOf('m', { onBadRecord: 'dead-letter' });
    const first = stage.start({ mirrors: [spec], wrap: sinkHangs('writeDeadLetter') });
    stage.produce(5);
    stage.produce(1, { body: Buffer.from('refuse:me') });
    await stage.time.pass(3_000);
    expect(await stage.close(first)).toBeLessThanOrEqual(LIMIT_MILLIS);
    stage.start({ mirrors: [spec] });
    await stage.time.pass(20_000);
    expect(stage.stored()).toEqual(stage.sent().slice(0, 5));
    expect(stage.stored('orders-dead')).toEqual(['refuse:me']);
  });

  it('stores what is on its way, keeps the last checkpoint and tells the source', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    stage.produce(40);
    await stage.time.pass(40);
    const took = await stage.close(supervisor);
    expect(took).toBeLessThan(1_000);
    const [checkpoint] = await stage.store.loadCheckpoints({ link: 'l', mirror: 'm' });
    expect(checkpoint?.next.major).toBe(stage.stored().length);
    expect(stage.source.peekCommitted('orders', 'broker-a:0', groupName({ link: 'l', mirror: 'm' }, 'west', specOf('m')))).toBe(
      stage.stored().length,
    );
  });

  it('takes no more changes', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(3_000);
    await stage.close(supervisor);
    expect(await stage.outcome(supervisor.addMirror('l', specOf('n', { topics: ['n'] })))).toMatchObject({ code: 'CLOSED' });
    expect(await stage.outcome(supervisor.resumeMirror({ link: 'l', mirror: 'm' }))).toMatchObject({ code: 'CLOSED' });
  });
});
