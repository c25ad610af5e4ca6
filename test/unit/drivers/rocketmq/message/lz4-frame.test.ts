import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { describe, expect, it } from 'vitest';
import { decodeLz4Frame } from '../../../../../src/drivers/rocketmq/message/lz4-frame.ts';
import { refusalOf } from '../kit.ts';

const LIMIT = 1 << 20;
// Made by the official 5.5.0 jars.
const GOLDEN = Buffer.from('04224d186070730f0000006868656c6c6f2006005068656c6c6f00000000', 'hex');

describe('an LZ4 frame', () => {
  it('of the official client is decoded', () => {
    expect(decodeLz4Frame(GOLDEN, LIMIT).toString()).toBe('hello hello hello hello');
  });

  it('of another encoder is decoded, with and without checksums', () => {
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 5_000 }),
      fc.array(fc.constantFrom('abc', 'hello ', 'x'), { maxLength: 2_000 }).map((words) => Buffer.from(words.join(''))),
    );
    fc.assert(
      fc.property(text, fc.boolean(), fc.boolean(), (bytes, contentChecksum, blockChecksums) => {
        const body = Buffer.from(bytes);
        expect(decodeLz4Frame(compressFrameSync(body, { contentChecksum, blockChecksums }), LIMIT).equals(body)).toBe(true);
      }),
    );
  });

  it('of several blocks is decoded', () => {
    const body = Buffer.from('0123456789'.repeat(60_000));
    expect(decodeLz4Frame(compressFrameSync(body), LIMIT).equals(body)).toBe(true);
  });

  it('never becomes larger than allowed', () => {
    const bomb = compressFrameSync(Buffer.alloc(4 * LIMIT));
    expect(bomb.length).toBeLessThan(LIMIT / 10);
    expect(() => decodeLz4Frame(bomb, LIMIT)).toThrow('larger than 1048576 bytes');
  });

  it('that is cut at any byte is refused', () => {
    for (let end = 0; end < GOLDEN.length; end++)
      expect(() => decodeLz4Frame(GOLDEN.subarray(0, end), LIMIT)).toThrow(/cut off|ends early|no LZ4 frame/);
  });

  it('with any byte changed is decoded to something small or refused', () => {
    fc.assert(
      fc.property(fc.nat({ max: GOLDEN.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
        const frame = Buffer.from(GOLDEN);
        frame[at] = value;
        // Refusals are plain errors with a reason; a RangeError would be an access out of bounds.
        const refused = refusalOf(() => {
          if (decodeLz4Frame(frame, LIMIT).length > LIMIT) throw new RangeError('larger than allowed');
        });
        expect(refused).not.toBeInstanceOf(RangeError);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['needs a dictionary', '04224d1861707300000000'],
    ['is of another version', '04224d18a070730f00000000'],
    ['is something else', '00000000000000000000'],
  ])('that %s is refused', (_, hex) => {
    expect(() => decodeLz4Frame(Buffer.from(hex, 'hex'), LIMIT)).toThrow(/dictionary|version|no LZ4/);
  });
});
