import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareViews, isFaultless } from '../../../scripts/demo/compare.ts';
import { orderOf, toRocketmq } from '../../../scripts/demo/orders.ts';
import type { Region } from '../../../scripts/demo/plan.ts';
import { foundInTarget } from '../../../scripts/demo/recovered.ts';
import { openScreen } from '../../../scripts/demo/screen.ts';
import type { View } from '../../../scripts/demo/sides.ts';

/** What the eyes see of order `seq` where it was written. */
function original(seq: number, writer: Region = 'east'): View {
  const order = orderOf(writer, seq, 4);
  const { keys = '', tags = '', properties = {} } = toRocketmq(order);
  return {
    lane: `broker-a:${order.lane}`,
    place: seq,
    id: order.id,
    key: order.customer,
    bodySha256: order.body,
    eventTime: 1_000 + seq,
    storedAt: 2_000 + seq,
    properties: writer === 'east' ? { ...properties, KEYS: keys, TAGS: tags, UNIQ_KEY: `u${seq}` } : properties,
  };
}

function copy(seq: number, changes: Partial<View> = {}, writer: Region = 'east'): View {
  const view = original(seq, writer);
  const properties = { ...view.properties, added: 'by the mirror' };
  return { ...view, lane: view.lane.slice(-1), storedAt: view.storedAt + 5, properties, ...changes };
}

const all = Array.from({ length: 500 }, (_, seq) => seq);
const written = all.map((seq) => original(seq));
const mirrored = all.map((seq) => copy(seq));
/** What the other application wrote, on its side and mirrored. */
const theirs = all.map((seq) => original(seq, 'west'));
const theirsHere = all.map((seq) => copy(seq, {}, 'west'));

describe('the verdict of the demo', () => {
  it('is faultless when every order arrived once, in order and unchanged, beside what the other side wrote', () => {
    const comparison = compareViews('east', [...written, ...theirsHere], [...mirrored, ...theirs]);
    expect(comparison).toMatchObject({
      source: 500,
      target: 500,
      changed: 0,
      looped: 0,
      medianDelayMillis: 5,
      longestDelayMillis: 5,
      examples: [],
    });
    expect(isFaultless(comparison)).toBe(true);
    expect(isFaultless(compareViews('west', [...mirrored, ...theirs], [...written, ...theirsHere]))).toBe(true);
  });

  it.each([
    ['lost', mirrored.filter((_, seq) => seq !== 7), { lost: 1 }],
    ['doubled', [...mirrored, copy(7)], { doubled: 1 }],
    ['of nobody', [...mirrored, copy(7, { id: 'east-9999' })], { strangers: 1 }],
    ['without an id', [...mirrored, copy(7, { id: null })], { strangers: 1 }],
    ['changed in its body', all.map((seq) => copy(seq, seq === 7 ? { bodySha256: 'other' } : {})), { changed: 1 }],
    ['changed in its time', all.map((seq) => copy(seq, seq === 7 ? { eventTime: 1 } : {})), { changed: 1 }],
    [
      'changed in a property',
      all.map((seq) => copy(seq, seq === 7 ? { properties: { ...copy(7).properties, TAGS: 'x' } } : {})),
      { changed: 1 },
    ],
  ])('finds an order that is %s', (_, away, expected) => {
    const comparison = compareViews('east', written, [...away, ...theirs]);
    expect(comparison).toMatchObject(expected);
    expect(isFaultless(comparison)).toBe(false);
  });

  it('finds an order that came back to where it was written', () => {
    const comparison = compareViews('east', [...written, copy(7, { lane: 'broker-a:0', place: 600 })], mirrored);
    expect(comparison).toMatchObject({ source: 500, lost: 0, doubled: 0, looped: 1 });
    expect(isFaultless(comparison)).toBe(false);
  });

  it('finds orders of a customer that changed places', () => {
    const next = mirrored.findIndex((row, i) => i > 0 && row.key === mirrored[0]?.key);
    const exchanged = mirrored.map((row, i) => ({ ...row, place: i === 0 ? next : i === next ? 0 : row.place }));
    expect(compareViews('east', written, exchanged).reordered).toBeGreaterThan(0);
  });
});

describe('the orders of the demo', () => {
  it('are the same each time, and those of a customer are in one lane', () => {
    expect(all.map((seq) => orderOf('west', seq, 4))).toEqual(all.map((seq) => orderOf('west', seq, 4)));
    const lanes = new Map<string, Set<number>>();
    for (const seq of all) {
      const { customer, lane } = orderOf('east', seq, 4);
      lanes.set(customer, (lanes.get(customer) ?? new Set()).add(lane));
    }
    expect(lanes.size).toBeGreaterThan(100);
    expect([...lanes.values()].filter((some) => some.size > 1)).toEqual([]);
    expect(new Set(all.map((seq) => orderOf('east', seq, 4).lane)).size).toBe(4);
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
