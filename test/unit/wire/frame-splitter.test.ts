import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameSplitter } from '../../../src/wire/frame-splitter.ts';

const LIMIT = 1 << 20;

function framed(...bodies: readonly string[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(body));
      return [length, Buffer.from(body)];
    }),
  );
}

function splitter(limit = LIMIT): { push: (chunk: Uint8Array, end?: number) => void; frames: string[]; asked: number[] } {
  const frames: string[] = [];
  const asked: number[] = [];
  const allocate = (bytes: number): Buffer => {
    asked.push(bytes);
    return Buffer.alloc(bytes);
  };
  const made = new FrameSplitter(limit, (frame) => frames.push(frame.toString('latin1')), allocate);
  return { push: (chunk, end) => made.push(chunk, end), frames, asked };
}

describe('the frame splitter', () => {
  const bodies = ['hello', '', 'x', 'a longer frame with more bytes'];
  const stream = framed(...bodies);

  it('cuts frames that come byte by byte', () => {
    const { push, frames } = splitter();
    for (const byte of stream) push(Uint8Array.of(byte));
    expect(frames).toEqual(bodies);
  });

  it('cuts frames that come in two pieces, wherever they are parted', () => {
    for (let at = 0; at <= stream.length; at++) {
      const { push, frames } = splitter();
      push(stream.subarray(0, at));
      push(stream.subarray(at));
      expect(frames).toEqual(bodies);
    }
  });

  it('cuts any frames that come in any pieces', () => {
    const chunks = fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 100 });
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 40, unit: 'grapheme-ascii' }), { maxLength: 20 }), chunks, (texts, sizes) => {
        const { push, frames } = splitter();
        const bytes = framed(...texts);
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const size = 1 + (sizes[i % sizes.length] ?? 0);
          push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(frames).toEqual(texts);
      }),
    );
  });

  it('gives each frame bytes of its own, so that the chunk can be used again', () => {
    const frames: Buffer[] = [];
    const made = new FrameSplitter(LIMIT, (frame) => frames.push(frame));
    const chunk = framed('first', 'second');
    made.push(chunk);
    chunk.fill(0);
    expect(frames.map(String)).toEqual(['first', 'second']);
  });

  it('looks only at the part of a chunk that was filled', () => {
    const { push, frames } = splitter();
    push(Buffer.concat([framed('used'), Buffer.alloc(100, 0xff)]), framed('used').length);
    push(framed('next'));
    expect(frames).toEqual(['used', 'next']);
  });

  it.each([LIMIT + 1, 0x7fffffff, 0x80000000, 0xffffffff])(
    'refuses an announced length of %d before it asks for memory',
    (length) => {
      const { push, asked } = splitter();
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(length);
      expect(() => push(bytes)).toThrow(expect.objectContaining({ code: 'FRAME_TOO_LARGE' }));
      expect(asked).toEqual([]);
    },
  );

  it('takes a frame of exactly the limit', () => {
    const { push, frames, asked } = splitter(10);
    push(framed('0123456789'));
    expect([frames, asked]).toEqual([['0123456789'], [10]]);
  });

  it('asks for the memory of one frame at a time, however much is announced behind it', () => {
    const { push, asked } = splitter();
    push(Buffer.concat([framed('abc'), Buffer.from([0, 0x0f, 0xff, 0xff])]));
    expect(asked).toEqual([3, 0x0fffff]);
  });
});
