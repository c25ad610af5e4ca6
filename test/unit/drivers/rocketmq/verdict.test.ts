import { describe, expect, it } from 'vitest';
import { judge } from '../../../../src/drivers/rocketmq/verdict.ts';
import type { Command } from '../../../../src/drivers/rocketmq/wire/command.ts';

function answer(code: number, remark: string, next: number, min: number, max: number): Command {
  const fields = { nextBeginOffset: String(next), minOffset: String(min), maxOffset: String(max) };
  return { code, opaque: 1, flag: 1, version: 513, remark, fields, body: Buffer.alloc(0) };
}

// Codes and remarks as brokers 5.5.0 gave them; the queue is [10, 90) and offset 50 is asked for where nothing else is said.
describe('an answer to a pull', () => {
  it.each([
    ['0 FOUND', answer(0, 'FOUND', 82, 10, 90), 50, { kind: 'found' }],
    ['19 at the end', answer(19, 'OFFSET_OVERFLOW_ONE', 90, 10, 90), 90, { kind: 'empty' }],
    ['19 of an empty queue', answer(19, 'NO_MESSAGE_IN_QUEUE', 0, 0, 0), 0, { kind: 'empty' }],
    [
      '19 before the end: a hole in the index, never skipped',
      answer(19, 'OFFSET_FOUND_NULL', 60, 10, 90),
      50,
      { kind: 'trouble' },
    ],
    ['20 while a file goes', answer(20, 'MESSAGE_WAS_REMOVING', 60, 10, 90), 50, { kind: 'doubt', reason: 'expired', to: 60 }],
    ['20 of a replica', answer(20, 'SLAVE', 50, 10, 90), 50, { kind: 'trouble' }],
    ['21 below the oldest', answer(21, 'OFFSET_TOO_SMALL', 10, 10, 90), 5, { kind: 'gap', reason: 'expired', to: 10 }],
    ['21 above the end', answer(21, 'OFFSET_OVERFLOW_BADLY', 90, 10, 90), 95, { kind: 'doubt', reason: 'truncated', to: 90 }],
    [
      '21 of a queue that was emptied',
      answer(21, 'NO_MESSAGE_IN_QUEUE', 0, 0, 0),
      50,
      { kind: 'doubt', reason: 'recreated', to: 0 },
    ],
    [
      '21 of a queue that is unknown',
      answer(21, 'NO_MATCHED_LOGIC_QUEUE', 0, -1, 0),
      50,
      { kind: 'doubt', reason: 'recreated', to: 0 },
    ],
    ['21 for a reset forward', answer(21, 'OFFSET_RESET', 70, 10, 90), 50, { kind: 'gap', reason: 'reset', to: 70 }],
    ['21 for a reset back', answer(21, 'OFFSET_RESET', 20, 10, 90), 50, { kind: 'reset-back', to: 20 }],
    ['21 within the queue: it has grown meanwhile', answer(21, 'OFFSET_OVERFLOW_BADLY', 50, 10, 90), 50, { kind: 'trouble' }],
    ['26', answer(26, 'no group', 0, 0, 0), 50, { kind: 'trouble', groupMissing: true }],
  ])('%s', (_, command, asked, expected) => {
    expect(judge(command, asked, 'reading')).toMatchObject(expected);
  });

  it('that would not move on is a protocol violation', () => {
    expect(() => judge(answer(0, 'FOUND', 50, 10, 90), 50, 'reading')).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
    );
  });

  it('without its numbers is a protocol violation', () => {
    expect(() => judge({ ...answer(0, 'FOUND', 1, 1, 1), fields: {} }, 0, 'reading')).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
    );
  });

  it('that is refused tells what was done, the code and the remark, at readable length', () => {
    const verdict = judge(answer(16, `no right ${'x'.repeat(5_000)}`, 0, 0, 0), 50, 'reading orders b1:3');
    expect(verdict).toMatchObject({
      kind: 'trouble',
      error: {
        code: 'ACCESS_DENIED',
        message: expect.stringMatching(/^reading orders b1:3: the answer was 16 \(no right x{200,}/),
      },
    });
    expect(verdict.kind === 'trouble' && verdict.error.message.length).toBeLessThan(400);
  });
});
