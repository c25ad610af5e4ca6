import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareRows, isFaultless } from '../../../scripts/demo/compare.ts';
import { orderMessage } from '../../../scripts/demo/orders.ts';
import { foundInTarget } from '../../../scripts/demo/recovered.ts';
import { openScreen } from '../../../scripts/demo/screen.ts';
import type { PulsarRow } from '../../kit/pulsar-eyes.ts';
import type { RocketmqRow } from '../../kit/rocketmq-eyes.ts';

/** What the eyes see of order `seq`, as far as the comparison looks at it. */
function original(seq: number): RocketmqRow {
  const { keys = '', shardingKey = '', tags = '', properties = {}, body = '', queue } = orderMessage(seq, 4);
  return {
    broker: 'broker-a',
    queue,
    offset: seq,
    properties: { ...properties, KEYS: keys, TAGS: tags, __SHARDINGKEY: shardingKey, UNIQ_KEY: `u${seq}` },
    bodySha256: body,
    bodyLength: body.length,
    bodyHex: null,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_000 + seq,
    storeTimestamp: 2_000 + seq,
    reconsumeTimes: 0,
    msgId: `u${seq}`,
  };
}

function copy(seq: number, changes: Partial<PulsarRow> = {}): PulsarRow {
  const { queue, properties, bodySha256, bodyLength, bornTimestamp, storeTimestamp } = original(seq);
  return {
    partition: queue,
    messageId: `1:${seq}:0`,
    batchSize: 1,
    producer: 'p',
    sequenceId: seq,
    hasKey: true,
    key: properties['__SHARDINGKEY'] ?? null,
    keyIsBase64: false,
    orderingKeyHex: null,
    properties,
    propertyList: Object.entries(properties),
    eventTime: bornTimestamp,
    publishTime: storeTimestamp + 5,
    deliverAtTime: 0,
    schemaVersionHex: null,
    nullValue: false,
    replicatedFrom: null,
    bodySha256,
    bodyLength,
    bodyHex: null,
    entry: { producer: 'p', sequenceId: seq, highestSequenceId: seq, compression: 'NONE', messages: 1, properties: [] },
    ...changes,
  };
}

const all = Array.from({ length: 500 }, (_, seq) => seq);
const written = all.map(original);
const byPartition = (rows: readonly PulsarRow[]): readonly PulsarRow[] => [...rows].sort((a, b) => a.partition - b.partition);

describe('the verdict of the demo', () => {
  it('is faultless when every order arrived once, in order and unchanged', () => {
    const comparison = compareRows(written, byPartition(all.map((seq) => copy(seq))));
    expect(comparison).toMatchObject({
      source: 500,
      target: 500,
      changed: 0,
      medianDelayMillis: 5,
      longestDelayMillis: 5,
      examples: [],
    });
    expect(isFaultless(comparison)).toBe(true);
  });

  it.each([
    ['lost', all.filter((seq) => seq !== 7).map((seq) => copy(seq)), { lost: 1 }],
    ['doubled', [...all, 7].map((seq) => copy(seq)), { doubled: 1 }],
    ['of nobody', [...all.map((seq) => copy(seq)), copy(7, { properties: { seq: '9999' } })], { strangers: 1 }],
    ['changed in its body', all.map((seq) => copy(seq, seq === 7 ? { bodySha256: 'other' } : {})), { changed: 1 }],
    ['changed in its time', all.map((seq) => copy(seq, seq === 7 ? { eventTime: 1 } : {})), { changed: 1 }],
    [
      'changed in a property',
      all.map((seq) => copy(seq, seq === 7 ? { properties: { ...copy(7).properties, TAGS: 'x' } } : {})),
      { changed: 1 },
    ],
  ])('finds an order that is %s', (_, mirrored, expected) => {
    const comparison = compareRows(written, byPartition(mirrored));
    expect(comparison).toMatchObject(expected);
    expect(isFaultless(comparison)).toBe(false);
  });

  it('finds orders of a customer that changed places', () => {
    const mirrored = byPartition(all.map((seq) => copy(seq)));
    const first = mirrored[0];
    const next = mirrored.findIndex((row, i) => i > 0 && row.key === first?.key);
    const exchanged = mirrored.map((row, i) => (i === 0 ? (mirrored[next] ?? row) : i === next ? (first ?? row) : row));
    expect(compareRows(written, exchanged).reordered).toBeGreaterThan(0);
  });
});

describe('the orders of the demo', () => {
  it('are the same each time, and those of a customer are in one queue', () => {
    expect(all.map((seq) => orderMessage(seq, 4))).toEqual(all.map((seq) => orderMessage(seq, 4)));
    const queues = new Map<string | undefined, Set<number>>();
    for (const seq of all) {
      const { shardingKey, queue } = orderMessage(seq, 4);
      queues.set(shardingKey, (queues.get(shardingKey) ?? new Set()).add(queue));
    }
    expect(queues.size).toBeGreaterThan(100);
    expect([...queues.values()].filter((some) => some.size > 1)).toEqual([]);
    expect(new Set(all.map((seq) => orderMessage(seq, 4).queue)).size).toBe(4);
  });
});

describe('the screen of the demo', () => {
  const show = (isTTY: boolean): string => {
    let text = '';
    const screen = openScreen({ isTTY, columns: 60, write: (more) => void (text += more) });
    screen.live('100 sent');
    screen.live('200 sent');
    screen.say('something');
    screen.settle();
    return text.replaceAll(/ *\d+\.\d s {2}/g, '');
  };

  it('draws the live line anew in a terminal, below what stays', () => {
    expect(show(true)).toBe('  100 sent\r\u001b[2K  200 sent\r\u001b[2Ksomething\n  200 sent\n');
  });

  it('writes plain lines elsewhere, and not each of them', () => {
    expect(show(false)).toBe('  100 sent\nsomething\n');
  });
});

describe('what the second process found', () => {
  it('counts only the newest process of the log, through half lines and foreign ones', () => {
    const folder = mkdtempSync(join(tmpdir(), 'isthmus-demo-'));
    const file = join(folder, 'log');
    const line = (event: string, fields = {}): string => JSON.stringify({ level: 'info', event, ...fields });
    const first = [line('started'), line('lane-recovered', { foundRecords: 9 }), '{"level":"info","ev'];
    const second = [
      line('started'),
      '(node:1) Warning',
      line('lane-recovered', { foundRecords: 20 }),
      line('lane-recovered', { foundRecords: 3 }),
    ];
    writeFileSync(file, [...first, ...second].join('\n'));
    expect(foundInTarget(file)).toBe(23);
    rmSync(folder, { recursive: true });
  });
});
