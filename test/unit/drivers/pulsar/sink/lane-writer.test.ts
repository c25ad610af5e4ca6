import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerPool } from '../../../../../src/drivers/pulsar/net/broker-pool.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { PulsarLaneWriter } from '../../../../../src/drivers/pulsar/sink/lane-writer.ts';
import { entryChecksum } from '../../../../../src/drivers/pulsar/wire/checksum.ts';
import { encodeMetadata } from '../../../../../src/drivers/pulsar/wire/message-metadata.ts';
import type { IsthmusError } from '../../../../../src/errors.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { SlabPool } from '../../../../../src/lib/slab.ts';
import { entryPosition } from '../../../../../src/model/position.ts';
import { formatRuns, plainMarks } from '../../../../../src/model/provenance.ts';
import type { Stored } from '../../../../../src/spi/sink.ts';
import { passAll, type StoredEntry, wholeBatch } from '../../../../kit/pulsar-entries.ts';
import { batchOf, type LogLine, memoryLog } from '../../../../kit/pulsar-writing.ts';
import { type ManualClock, manualClock } from '../fake-broker.ts';
import { type FakeTopic, fakeTopic, producerOf } from '../fake-topic.ts';

const NAME = 'isthmus/link/source/orders/q0';

let topic: FakeTopic;
let pool: BrokerPool;
let clock: ManualClock;
let budget: ByteBudget;
let lines: LogLine[];
let stored: Stored[];
let failures: IsthmusError[];
/** What whoever writes does at once when something is stored, or when a trouble is over. */
let onNews: (() => void) | undefined;
let writer: PulsarLaneWriter;
/** What the topic's policy says by now. */
let topicMaxBytes: number | undefined;

beforeEach(async () => {
  topic = await fakeTopic();
  clock = manualClock();
  lines = [];
  stored = [];
  failures = [];
  onNews = topicMaxBytes = undefined;
  budget = new ByteBudget(2 ** 24);
  const log = memoryLog(lines);
  pool = new BrokerPool(
    { serviceUrl: topic.url, tls: undefined, listenerName: undefined },
    { clock, log, credentials: credentialsOf(undefined) },
  );
  writer = new PulsarLaneWriter(
    {
      topic: 'persistent://public/default/t',
      partition: 0,
      sourceCluster: 'source',
      lane: { topic: 'orders', lane: 'q0' },
      link: 'link',
      batching: 'mixed',
      compression: 'none',
      signal: new AbortController().signal,
      onStored: (each) => {
        stored.push(each);
        onNews?.();
      },
      onFailed: (error) => failures.push(error),
      onTrouble: (error) => {
        if (error === undefined) onNews?.();
      },
    },
    {
      pool,
      slabs: new SlabPool(budget),
      deps: { clock, log, random: () => 0.5, marks: plainMarks },
      producerName: NAME,
      topicMaxBytes: undefined,
      askTopicMaxBytes: async () => topicMaxBytes,
      perKey: () => false,
      onEnd: () => undefined,
    },
  );
  await writer.start(new AbortController().signal);
});

afterEach(async () => {
  const closing = writer.close(0);
  pool.close();
  await closing;
  await topic.close();
});

/** One batch per offset. */
function send(...offsets: number[]): void {
  for (const offset of offsets) {
    expect(writer.append(batchOf([{ offset, body: `body ${offset}` }]), 0)).toBe('taken');
    writer.flush();
  }
}

/** Moves the clock on until it is so, for backoffs run on it. */
async function passesUntil(isSo: () => boolean): Promise<void> {
  await expect
    .poll(() => {
      clock.advance(200);
      return isSo();
    })
    .toBe(true);
}

const firstsOf = (): number[] => stored.map(({ runs }) => runs[0]?.first.major ?? -1);
const storedIds = (): number[] => topic.stored.map(({ sequenceId }) => sequenceId);
const events = (): string[] => lines.map(({ event }) => event);

describe('a writer in doubt', () => {
  it('whose receipt got lost finds the batch in the tail and does not send it again', async () => {
    topic.fate = () => 'stored without a receipt';
    send(10);
    await expect.poll(() => topic.sent.length).toBe(1);
    clock.advance(30_000);
    await passesUntil(() => stored.length === 1);
    expect(storedIds()).toEqual([10]);
    expect(topic.sent).toHaveLength(1);
  });

  it.each(['stored without a receipt', 'lost'] as const)(
    'sends once what is written at the moment when it goes on, after a batch that was %s',
    async (fate) => {
      topic.fate = (_, nth) => (nth === 1 ? fate : 'stored');
      send(10);
      await expect.poll(() => topic.sent.length).toBe(1);
      onNews = () => {
        onNews = undefined;
        send(11);
      };
      clock.advance(30_000);
      await passesUntil(() => stored.length === 2);
      expect(storedIds()).toEqual([10, 11]);
      expect(firstsOf()).toEqual([10, 11]);
    },
  );

  it('whose batch got lost sends it again byte by byte', async () => {
    topic.fate = (_, nth) => (nth === 1 ? 'lost' : 'stored');
    send(10);
    await expect.poll(() => topic.sent.length).toBe(1);
    clock.advance(30_000);
    await passesUntil(() => stored.length === 1);
    expect(topic.sent).toHaveLength(2);
    expect(topic.sent[1]).toEqual(topic.sent[0]);
  });

  it('waits for what the broker has accepted and not yet stored, and does not store it twice', async () => {
    topic.fate = () => 'late';
    send(10, 11, 12);
    await expect.poll(() => topic.sent.length).toBe(3);
    topic.cut();
    await passesUntil(() => stored.length === 3);
    expect(storedIds()).toEqual([10, 11, 12]);
    expect(topic.sent).toHaveLength(3);
  });

  it('waits until it can see all that is stored, which an open transaction of somebody else holds back, and says so', async () => {
    topic.fate = () => 'stored without a receipt';
    send(10, 11);
    await expect.poll(() => topic.sent.length).toBe(2);
    topic.heldBackFrom = 1;
    topic.cut();
    const waits = (): boolean => lines.some(({ fields }) => String(fields['error']).includes('open transaction'));
    await passesUntil(waits);
    for (let i = 0; i < 200; i++) {
      clock.advance(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(stored).toEqual([]);
    expect(topic.sent).toHaveLength(2);
    topic.heldBackFrom = undefined;
    await passesUntil(() => stored.length === 2);
    expect(storedIds()).toEqual([10, 11]);
    expect(topic.sent).toHaveLength(2);
  });

  it('copes with an error that overtakes the receipt of an earlier batch', async () => {
    topic.fate = (id, nth) => (id === 11 && nth === 2 ? 2 : id === 10 ? 'stored without a receipt' : 'stored');
    send(10, 11);
    await passesUntil(() => stored.length === 2);
    expect(firstsOf()).toEqual([10, 11]);
    expect(storedIds()).toEqual([10, 11]);
  });

  it('fills a hole, says that order was broken, and reports in order', async () => {
    topic.fate = (id, nth) => (id === 10 && nth === 1 ? 'lost' : nth <= 2 ? 'stored without a receipt' : 'stored');
    send(10, 11);
    await expect.poll(() => topic.sent.length).toBe(2);
    topic.cut();
    await passesUntil(() => stored.length === 2);
    expect(storedIds()).toEqual([11, 10]);
    expect(firstsOf()).toEqual([10, 11]);
    expect(events()).toContain('order-broken');
  });

  it('does not take a receipt without a place for a proof: looks, and sends under another name beside the fence', async () => {
    topic.fate = (_, nth) => (nth === 1 ? 'duplicate' : 'stored');
    send(10);
    await passesUntil(() => stored.length === 1);
    expect(storedIds()).toEqual([10]);
    expect(topic.sent.map(producerOf)).toEqual([NAME, expect.stringMatching(/^isthmus\/link\/source\/orders\/q0~\w+$/)]);
  });

  it('that finds what the broker took for a duplicate does not send it again', async () => {
    topic.fate = () => 'stored as duplicate';
    send(10);
    await passesUntil(() => stored.length === 1);
    expect(topic.sent).toHaveLength(1);
  });

  it('takes a receipt out of order for a broken connection', async () => {
    topic.fate = (id, nth) => (id === 10 && nth === 1 ? 'lost' : 'stored');
    send(10, 11);
    await passesUntil(() => stored.length === 2);
    expect(firstsOf()).toEqual([10, 11]);
    expect(storedIds().toSorted((a, b) => a - b)).toEqual([10, 11]);
  });
});

describe('a writer gives up', () => {
  it('when the broker refuses a batch for good', async () => {
    topic.fate = () => 22;
    send(10);
    await expect.poll(() => failures.map(({ code }) => code)).toEqual(['RECORD_REFUSED']);
    await expect(writer.ready()).rejects.toMatchObject({ code: 'RECORD_REFUSED' });
    expect(budget.usedBytes).toBe(0);
  });

  it('when a batch arrives damaged again and again', async () => {
    topic.fate = () => 9;
    send(10);
    await passesUntil(() => failures.length > 0);
    expect(failures.map(({ code }) => code)).toEqual(['INTERNAL']);
    expect(topic.sent).toHaveLength(3);
  });

  it('and takes nothing more, reports nothing more, and holds nothing', async () => {
    topic.fate = (id) => (id === 10 ? 15 : 'stored');
    send(10, 11);
    await expect.poll(() => failures.map(({ code }) => code)).toEqual(['TOPIC_TERMINATED']);
    expect(writer.append(batchOf([{ offset: 12, body: '' }]), 0)).toBe('full');
    expect([stored.length, writer.open(), writer.inFlight, budget.usedBytes]).toEqual([0, 0, 0, 0]);
  });
});

describe('closing', () => {
  it('waits for what is on its way, drops what is open, and gives all bytes back', async () => {
    topic.fate = () => 'late';
    send(10);
    writer.append(batchOf([{ offset: 11, body: 'open' }]), 0);
    const closing = writer.close(1000);
    await expect.poll(() => topic.sent.length).toBe(1);
    clock.advance(1000);
    await closing;
    expect([stored.length, writer.inFlight, budget.usedBytes]).toEqual([0, 0, 0]);
    expect(topic.sent).toHaveLength(1);
  });

  it('ends at once when everything is stored', async () => {
    send(10);
    await writer.close(1_000_000);
    expect(firstsOf()).toEqual([10]);
  });
});

/** An entry as a source would deliver it, of `bytes` of payload. */
function wholeEntry(entry: number, bytes = 20): StoredEntry {
  const metadata = encodeMetadata({ producerName: 'original', sequenceId: entry, publishTime: 1, properties: [], eventTime: 7 });
  const payload = Buffer.alloc(bytes, entry);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(0x0e01, 0);
  head.writeUInt32BE(entryChecksum(metadata, payload), 2);
  return { ledger: 812, entry, messages: 1, bytes: Buffer.concat([head, metadata, payload]) };
}

const idOf = (entry: number): number => 812 * 65_536 + entry;

describe('whole entries', () => {
  const passes = (entries: readonly number[], bytes?: number): Promise<void> =>
    passAll(
      writer,
      entries.map((entry) => wholeEntry(entry, bytes)),
    );

  it('leave at once and are reported one by one', async () => {
    await passes([45, 46, 50]);
    expect(writer.open()).toBe(0);
    await expect.poll(() => stored.length).toBe(3);
    expect(storedIds()).toEqual([45, 46, 50].map(idOf));
    expect(stored.map(({ runs }) => formatRuns(runs))).toEqual(['812:45', '812:46', '812:50']);
    expect(stored.map(({ target }) => target.index)).toEqual([-1, -1, -1]);
  });

  it('come after the records that were taken before them', async () => {
    expect(writer.append(batchOf([{ offset: 0, position: entryPosition(812, 44, 3), body: 'a record' }]), 0)).toBe('taken');
    await passes([45]);
    await expect.poll(() => stored.length).toBe(2);
    expect(storedIds()).toEqual([44, 45].map(idOf));
  });

  it('that got lost are sent again byte by byte, those that did not are not', async () => {
    topic.fate = (id, nth) => (id === idOf(46) && nth === 2 ? 'lost' : nth <= 2 ? 'stored without a receipt' : 'stored');
    await passes([45, 46]);
    await expect.poll(() => topic.sent.length).toBe(2);
    clock.advance(30_000);
    await passesUntil(() => stored.length === 2);
    expect(storedIds()).toEqual([45, 46].map(idOf));
    expect(topic.sent[2]).toEqual(topic.sent[1]);
    expect(topic.sent).toHaveLength(3);
  });

  it('that a broker takes for copies and has not are stored under another name, with a right checksum', async () => {
    topic.fate = (_, nth) => (nth === 1 ? 'duplicate' : 'stored');
    await passes([45]);
    await passesUntil(() => stored.length === 1);
    expect(topic.sent.map(producerOf)).toEqual([NAME, expect.stringMatching(/~\w+$/)]);
    for (const { entry } of topic.sent) expect(entry.readUInt32BE(2)).toBe(entryChecksum(entry.subarray(6), Buffer.alloc(0)));
  });

  it('hold no more memory than they may, and give all of it back', async () => {
    topic.fate = () => 'lost';
    const many = wholeBatch(Array.from({ length: 1000 }, (_, k) => wholeEntry(k, 30_000)));
    let taken = 0;
    while (writer.append(many, taken) === 'taken') taken++;
    // Eight slabs of eight entries each, and the first one, which was alone when it came.
    expect(taken).toBe(65);
    expect(budget.usedBytes).toBeLessThan(8 * 256 * 1024 + 31_000);
    await writer.close(0);
    expect(budget.usedBytes).toBe(0);
  });

  it('that are few and small hold little more than themselves', async () => {
    topic.fate = () => 'lost';
    await passes([1]);
    expect(budget.usedBytes).toBeLessThan(500);
  });

  it('end at the count that brokers like, however small they are', async () => {
    topic.fate = () => 'lost';
    const many = wholeBatch(Array.from({ length: 1000 }, (_, k) => wholeEntry(k)));
    let taken = 0;
    while (writer.append(many, taken) === 'taken') taken++;
    expect(taken).toBe(256);
  });

  it('go on when there is room again', async () => {
    await passes(
      Array.from({ length: 600 }, (_, k) => k),
      20_000,
    );
    await expect.poll(() => stored.length).toBe(600);
    expect(storedIds()).toEqual(Array.from({ length: 600 }, (_, k) => idOf(k)));
    expect(budget.usedBytes).toBe(0);
  });

  it('that come damaged end the writer, so that they are read again', async () => {
    topic.fate = () => 9;
    const entry = wholeEntry(45);
    entry.bytes[entry.bytes.length - 1] = 0;
    await passAll(writer, [entry]);
    await expect.poll(() => failures.map(({ code, retryable }) => [code, retryable])).toEqual([['RECORD_DAMAGED', true]]);
    expect(topic.sent).toHaveLength(1);
  });

  it('are refused when they cannot be passed on', async () => {
    // The broker says that it takes a million bytes.
    const cases = [wholeEntry(1, 1_005_000), { ...wholeEntry(2), bytes: Buffer.from('nonsense') }];
    const refusals = cases.map((each) => writer.append(wholeBatch([each]), 0));
    expect(refusals).toEqual([
      { refused: expect.stringContaining('takes') },
      { refused: expect.stringContaining('reading an entry to be passed on') },
    ]);
    const foreign = wholeBatch([wholeEntry(3)]);
    foreign.native = 'rocketmq-message';
    expect(writer.append(foreign, 0)).toMatchObject({ refused: expect.stringContaining('another kind') });
    // A chunk or a full message of the source may be as long as the limit, and a little longer with our properties.
    expect(writer.append(wholeBatch([wholeEntry(4, 1_000_000)]), 0)).toBe('taken');
  });
});

describe('a writer on a broker that deduplicates', () => {
  it('begins above what was accepted under its name before, so that nothing new is taken for a copy', async () => {
    topic.lastSequenceId = idOf(1_000);
    let goesOn = false;
    onNews = () => {
      goesOn = true;
    };
    topic.cut();
    await passesUntil(() => goesOn);
    await passAll(writer, [wholeEntry(5), wholeEntry(6), wholeEntry(2_000)]);
    await expect.poll(() => stored.length).toBe(3);
    expect(storedIds()).toEqual([idOf(1_001), idOf(1_002), idOf(2_000)]);
  });
});
