import { describe, expect, it } from 'vitest';
import { judgeSend } from '../../../../../src/drivers/rocketmq/sink/verdict.ts';
import type { Command } from '../../../../../src/drivers/rocketmq/wire/command.ts';

const answer = (code: number, remark = ''): Command => ({
  code,
  remark,
  opaque: 1,
  flag: 1,
  version: 513,
  fields: {},
  body: Buffer.alloc(0),
});
const told = (code: number, remark?: string): unknown => {
  const verdict = judgeSend(answer(code, remark), 'writing');
  return verdict.kind === 'stored' ? [verdict.kind, verdict.weak] : [verdict.kind, verdict.error.code, verdict.error.retryable];
};

describe('an answer to a send', () => {
  it.each([
    [0, ['stored', false]],
    // To send these again would store them twice.
    [10, ['stored', true]],
    [11, ['stored', true]],
    [12, ['stored', true]],
    [2, ['refused', 'BROKER_BUSY', true]],
    [14, ['refused', 'BROKER_BUSY', true]],
    [215, ['refused', 'BROKER_BUSY', true]],
    [501, ['refused', 'BROKER_BUSY', true]],
    [1500, ['refused', 'BROKER_BUSY', true]],
    [16, ['refused', 'ACCESS_DENIED', true]],
    [29, ['refused', 'TOPIC_NOT_FOUND', true]],
    [17, ['failed', 'TOPIC_NOT_FOUND', true]],
    [13, ['illegal', 'BROKER_REFUSED', false]],
    [1, ['doubt', 'UNKNOWN_OUTCOME', true]],
    [604, ['doubt', 'UNKNOWN_OUTCOME', true]],
  ])('of code %i means %j', (code, expected) => {
    expect(told(code)).toEqual(expected);
  });

  it('that too few replicas are in step is a doubt: the code is that of any exception, and only the queue tells', () => {
    expect(told(1, 'in-sync replicas not enough')).toEqual(['doubt', 'UNKNOWN_OUTCOME', true]);
  });

  it('that a batch is too large is no doubt: the broker has stored nothing of it, and never will', () => {
    expect(told(1, 'java.lang.RuntimeException: message body size exceeded, msg body size: 4194308')).toEqual([
      'illegal',
      'BROKER_REFUSED',
      false,
    ]);
  });
});
