import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EntryMetadata } from '../../../../../src/drivers/pulsar/wire/message-metadata.ts';
import { entryPosition, formatPosition, type Position } from '../../../../../src/model/position.ts';
import { type PulsarReadRecord, type PulsarSourceUnderTest, pulsarSourceUnderTest } from '../../../../kit/pulsar-source.ts';
import { type FakeEntry, type FakePartition, fakePartition, MOST_ENTRIES } from './fake-partition.ts';
import { batchEntry, storedEntry } from './kit.ts';

const TOPIC = 'persistent://public/default/t';

let partition: FakePartition;
let under: PulsarSourceUnderTest;

beforeEach(async () => {
  partition = await fakePartition();
  under = pulsarSourceUnderTest({ serviceUrl: partition.url, adminUrl: partition.adminUrl });
});

afterEach(async () => {
  await under.close();
  await partition.close();
});

function one(body: string, metadata: Partial<EntryMetadata> = {}): FakeEntry {
  return { bytes: storedEntry(metadata, body), messages: 1 };
}

function batch(...bodies: readonly string[]): FakeEntry {
  return { bytes: batchEntry(bodies), messages: bodies.length };
}

const MARKER: FakeEntry = { ...one(''), marker: true };

function places(records: readonly PulsarReadRecord[]): string[] {
  return records.map(({ position }) => position);
}

function at(entry: number, index = -1): Position {
  return entryPosition(5, entry, index);
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1000) throw new Error('it never came true');
    await sleep(5);
  }
}

describe('what is read', () => {
  it('begins at the asked place inside a batch, and goes on at the next entry', async () => {
    partition.append(batch('a', 'b', 'c'), one('d'), MARKER, batch('e'));
    const tail = await under.tail(TOPIC, { from: at(0, 1) });
    await tail.until(4);
    expect(places(tail.records)).toEqual(['5:0:1', '5:0:2', '5:1', '5:3:0']);
    expect(tail.ends.at(-1)).toEqual(at(4));
    expect(tail.gaps).toEqual([]);
  });

  it('is moved back to the asked place where the subscription is ahead, and forward where it is behind', async () => {
    partition.append(one('a'), one('b'), one('c'));
    partition.markDelete = 2;
    const first = await under.tail(TOPIC, { from: at(1) });
    await first.until(2);
    expect([places(first.records), partition.seeks]).toEqual([['5:1', '5:2'], [1]]);
    await first.reader.close();
    partition.markDelete = -1;
    const second = await under.tail(TOPIC, { from: at(2) });
    await second.until(1);
    expect([places(second.records), partition.acknowledged.at(-1)]).toEqual([['5:2'], 1]);
  });

  it('comes once, whatever the broker sends again', async () => {
    partition.append(one('a'), batch('b', 'c'), one('d'));
    const tail = await under.tail(TOPIC);
    await tail.until(4);
    partition.kick();
    partition.append(one('e'));
    await tail.until(5);
    partition.cut();
    partition.append(one('f'));
    await tail.until(6);
    expect(places(tail.records)).toEqual(['5:0', '5:1:0', '5:1:1', '5:2', '5:3', '5:4']);
    expect([tail.gaps, tail.troubles.at(-1)]).toEqual([[], undefined]);
  });

  it.each([
    ['', 404],
    [', also where the rules of the topic are not for us to read', 403],
  ] as const)('is told as a gap where somebody has moved the subscription over it%s', async (_, status) => {
    partition.adminStatus = status;
    partition.append(one('a'));
    const tail = await under.tail(TOPIC);
    await tail.until(1);
    partition.kick();
    partition.append(one('b'), one('c'));
    partition.skipTo(2);
    partition.append(one('d'));
    await tail.until(3);
    expect([places(tail.records), tail.gaps]).toEqual([['5:0', '5:3'], ['5:1-5:3 reset']]);
  });

  it('is acknowledged by whole entries that are done', async () => {
    partition.append(batch('a', 'b'), one('c'));
    const tail = await under.tail(TOPIC);
    await tail.until(3);
    for (const next of [at(0, 1), at(1), at(2)]) await tail.reader.commit(next);
    expect(partition.acknowledged.slice(-3)).toEqual([-1, 0, 1]);
  });
});

describe('a message in pieces', () => {
  const piece = (uuid: string, index: number): FakeEntry =>
    one(`${uuid}${index}`, { chunk: { uuid, index, count: 2, totalBytes: 4 } });

  it('comes at the place of its last piece, and holds the subscription at its first one', async () => {
    partition.append(one('x'), piece('m', 0), one('y'));
    const tail = await under.tail(TOPIC);
    await tail.until(2);
    await tail.reader.commit(at(3));
    expect(partition.markDelete).toBe(0);
    partition.append(piece('m', 1));
    await tail.until(3);
    expect([places(tail.records), tail.records[2]?.bodyLength]).toEqual([['5:0', '5:2', '5:3'], 4]);
    await tail.reader.commit(at(4));
    expect(partition.markDelete).toBe(3);
  });

  it('is put together by a reader that is opened between its pieces', async () => {
    partition.append(one('x'), piece('m', 0), one('y'), piece('m', 1));
    partition.markDelete = 0;
    const tail = await under.tail(TOPIC, { from: at(3) });
    await tail.until(1);
    expect([places(tail.records), tail.records[0]?.bodyLength]).toEqual([['5:3'], 4]);
  });

  it('whose beginning is gone is a gap', async () => {
    partition.append(one('x'), piece('m', 1), one('y'));
    const tail = await under.tail(TOPIC);
    await tail.until(3);
    expect([places(tail.records), tail.gaps]).toEqual([['5:0', '5:2'], ['5:1-5:2 expired']]);
  });
});

describe('another consumer', () => {
  it('is waited for', async () => {
    partition.busy = true;
    partition.append(one('a'));
    const tail = await under.tail(TOPIC);
    await until(() => tail.troubles.includes('OTHER_WRITER'));
    expect(tail.records).toEqual([]);
    partition.busy = false;
    partition.activeChange(true);
    await tail.until(1);
    expect(tail.troubles).toEqual(['OTHER_WRITER', undefined]);
  });

  it('that takes the subscription ends the reading', async () => {
    partition.append(one('a'));
    const tail = await under.tail(TOPIC);
    await tail.until(1);
    partition.activeChange(false);
    expect(await tail.ended).toMatchObject({ code: 'OTHER_WRITER', retryable: true });
  });
});

describe('in any weather', () => {
  it('every record comes once and in order', async () => {
    const kinds = fc.constantFrom('one', 'batch', 'marker', 'kick', 'cut', 'commit', 'wait');
    await fc.assert(
      fc.asyncProperty(fc.array(kinds, { maxLength: 60 }), fc.boolean(), async (steps, whole) => {
        const fresh = await fakePartition();
        const reading = pulsarSourceUnderTest({ serviceUrl: fresh.url, adminUrl: fresh.adminUrl }, 4_000);
        try {
          const tail = await reading.tail(TOPIC, whole ? { wholeFrom: entryPosition(0, 0) } : {});
          const expected: string[] = [];
          let entry = 0;
          for (const step of steps) {
            if (entry >= MOST_ENTRIES) break;
            if (step === 'one') fresh.append(one('x'.repeat(300)));
            else if (step === 'batch') fresh.append(batch('y'.repeat(200), 'z'.repeat(200), 'w'));
            else if (step === 'marker') fresh.append(MARKER);
            else if (step === 'kick') fresh.kick();
            else if (step === 'cut') fresh.cut();
            else if (step === 'wait') await sleep(2);
            else if (tail.ends.length > 0) await tail.reader.commit(tail.ends.at(-1) ?? at(0)).catch(() => undefined);
            if (step === 'one' || (step === 'batch' && whole)) expected.push(formatPosition(at(entry)));
            else if (step === 'batch') for (const index of [0, 1, 2]) expected.push(formatPosition(at(entry, index)));
            if (step === 'one' || step === 'batch' || step === 'marker') entry++;
          }
          await tail.until(expected.length);
          expect([places(tail.records), tail.gaps]).toEqual([expected, []]);
        } finally {
          await reading.close();
          await fresh.close();
        }
      }),
      { numRuns: 15 },
    );
  }, 120_000);
});
