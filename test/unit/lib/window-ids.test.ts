import { describe, expect, it } from 'vitest';
import { KEY_BYTES, WindowIds } from '../../../src/lib/window-ids.ts';
import { entryPosition, offsetPosition, type Position } from '../../../src/model/position.ts';
import { RecordBatch } from '../../../src/model/record-batch.ts';

function batchAt(...positions: readonly Position[]): RecordBatch {
  const batch = new RecordBatch(positions.length);
  for (const [row, { major, minor, index }] of positions.entries()) {
    batch.major[row] = major;
    batch.minor[row] = minor;
    batch.index[row] = index;
  }
  return batch;
}

function blocks(ids: WindowIds): (readonly [string | undefined, number, number])[] {
  return Array.from({ length: ids.blockCount }, (_, i) => ids.block(i)).map(({ space, from, count }) => [space, from, count]);
}

function keyOf(text: string): string {
  const ids = new WindowIds();
  const bytes = Buffer.from(`..${text}..`);
  ids.addKey(bytes, 2, bytes.length - 2, batchAt(offsetPosition(1)), 0);
  return ids.keys.toString('hex', 0, KEY_BYTES);
}

describe('ids for a window', () => {
  it('join neighbours of one space, whichever part of the position counts', () => {
    const batch = batchAt(
      entryPosition(8, 1),
      entryPosition(8, 2),
      entryPosition(8, 3, 0),
      entryPosition(8, 3, 1),
      entryPosition(8, 4),
    );
    const ids = new WindowIds();
    for (let row = 0; row < 5; row++) ids.addRow('a', batch, row);
    ids.addRow('b', batch, 0);
    expect(blocks(ids)).toEqual([
      ['a', 0, 2],
      ['a', 2, 2],
      ['a', 4, 1],
      ['b', 5, 1],
    ]);
    expect(ids.block(1).first).toEqual(entryPosition(8, 3, 0));
    expect(ids.count).toBe(6);
  });

  it('join positions of an origin only where they were read as neighbours, too', () => {
    const batch = batchAt(offsetPosition(70), offsetPosition(71), offsetPosition(73));
    const ids = new WindowIds();
    for (let row = 0; row < 3; row++) ids.addPosition('a', 5 + row, -1, -1, batch, row);
    expect(blocks(ids)).toEqual([
      ['a', 0, 2],
      ['a', 2, 1],
    ]);
    expect(ids.block(1)).toMatchObject({ first: offsetPosition(7), place: offsetPosition(73) });
  });

  it('number whole runs, and begin anew after clear, with fresh verdicts', () => {
    const ids = new WindowIds();
    ids.addRun('a', offsetPosition(10), 500);
    ids.addRun('a', offsetPosition(510), 0);
    ids.addRun('a', offsetPosition(510), 5);
    expect(blocks(ids)).toEqual([['a', 0, 505]]);
    ids.verdicts.fill(4);
    ids.clear();
    expect(blocks(ids)).toEqual([]);
    ids.addRun('b', offsetPosition(0), 600);
    expect([ids.count, ids.verdicts.length, new Set(ids.verdicts)]).toEqual([600, 600, new Set([0])]);
  });

  it('keep keys of up to 16 bytes, digits and UUIDs as they are, and each in its own way', () => {
    const texts = [
      '',
      'k',
      '0123456789abcdef',
      '0123456789ABCDEF0',
      '7F00000100002A139A5500000000A1B2',
      '7f00000100002a139a5500000000a1b2',
      '123e4567-e89b-12d3-a456-426614174000',
      '123E4567-E89B-12D3-A456-426614174000',
    ];
    for (const text of texts) expect(keyOf(text)).toContain(Buffer.from(text.length > 16 ? '' : text).toString('hex'));
    expect(keyOf(texts[4] ?? '').slice(2)).toBe('7f00000100002a139a5500000000a1b2');
    expect(keyOf(texts[6] ?? '').slice(2)).toBe('123e4567e89b12d3a456426614174000');
    const digests = [
      '123e4567-e89b-12d3-a456-42661417400-',
      '7f00000100002A139A5500000000A1B2',
      'a text of more than sixteen bytes',
    ];
    const all = [...texts, ...digests].map(keyOf);
    expect(new Set(all).size).toBe(all.length);
    expect(digests.map((text) => keyOf(text).slice(0, 2))).toEqual(['20', '20', '20']);
  });

  it('grow without losing what was added', () => {
    const ids = new WindowIds();
    const batch = batchAt(offsetPosition(1));
    for (let i = 0; i < 1_000; i++) {
      const bytes = Buffer.from(`key ${i}`);
      ids.addKey(bytes, 0, bytes.length, batch, 0);
    }
    expect(ids.blockCount).toBe(1_000);
    const text = (i: number): string => ids.keys.toString('latin1', i * KEY_BYTES + 1, (i + 1) * KEY_BYTES).replace(/\0+$/, '');
    expect([text(0), text(999)]).toEqual(['key 0', 'key 999']);
  });
});
