import { describe, expect, it } from 'vitest';
import { letGo } from '../../../../../src/drivers/pulsar/sink/entry.ts';

describe('the bytes of a stored entry', () => {
  it.each([
    { sends: 0, end: 'are used again when a look at the tail has found it' },
    { sends: 1, end: 'are used again when it was sent once' },
    { sends: 2, end: 'are left alone when it was sent twice: its first connection may still read them' },
  ])('$end', ({ sends }) => {
    const calls: string[] = [];
    letGo({ sends, held: { release: () => calls.push('used again'), abandon: () => calls.push('left alone') } });
    expect(calls).toEqual([sends > 1 ? 'left alone' : 'used again']);
  });
});
