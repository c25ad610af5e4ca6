import { describe, expect, it } from 'vitest';
import { signRequest } from '../../../../src/drivers/rocketmq/wire/acl.ts';
import { decodeCommand, encodeJson, type Request } from '../../../../src/drivers/rocketmq/wire/command.ts';
import { PullEncoder, readPullHeader } from '../../../../src/drivers/rocketmq/wire/pull-message.ts';

const numbers = (fields: Readonly<Record<string, string>>) =>
  [fields['queueOffset'], fields['maxMsgNums'], fields['sysFlag'], fields['suspendTimeoutMillis']].map(Number);

describe('a pull request', () => {
  it('asks for a range of one queue, and lets nothing be committed by it', () => {
    const frame = new PullEncoder('g1', 'orders', 3, undefined).encode({ offset: 125_000, maxMessages: 64, suspendMillis: 0 }, 9);
    const { code, opaque, fields } = decodeCommand(frame.subarray(4));
    expect([code, opaque]).toEqual([11, 9]);
    expect(numbers(fields)).toEqual([125_000, 64, 4, 0]);
    expect(fields).toMatchObject({
      consumerGroup: 'g1',
      topic: 'orders',
      queueId: '3',
      commitOffset: '0',
      subscription: '*',
      subVersion: '0',
      expressionType: 'TAG',
    });
  });

  it('asks to be held only with a time to hold it', () => {
    const frame = new PullEncoder('g1', 'orders', 3, undefined).encode({ offset: 1, maxMessages: 32, suspendMillis: 15_000 }, 1);
    expect(numbers(decodeCommand(frame.subarray(4)).fields)).toEqual([1, 32, 6, 15_000]);
  });

  it('is patched where it changes, whatever the names in it look like', () => {
    const encoder = new PullEncoder('sysFlag', 'queueOffset-maxMsgNums-suspendTimeoutMillis', 0, undefined);
    for (const offset of [0, 7, 4_294_967_296, Number.MAX_SAFE_INTEGER]) {
      const { fields, opaque } = decodeCommand(
        encoder.encode({ offset, maxMessages: 1024, suspendMillis: 15_000 }, 0x7fffffff).subarray(4),
      );
      expect(numbers(fields)).toEqual([offset, 1024, 6, 15_000]);
      expect(fields).toMatchObject({
        consumerGroup: 'sysFlag',
        topic: 'queueOffset-maxMsgNums-suspendTimeoutMillis',
        queueId: '0',
      });
      expect(opaque).toBe(0x7fffffff);
    }
  });

  it('never touches a frame that is on its way', () => {
    const encoder = new PullEncoder('g', 't', 0, undefined);
    const first = encoder.encode({ offset: 1, maxMessages: 1, suspendMillis: 0 }, 1);
    const copy = Buffer.from(first);
    encoder.encode({ offset: 2, maxMessages: 2, suspendMillis: 2 }, 2);
    expect(first.equals(copy)).toBe(true);
  });

  it('is signed over what it sends', () => {
    const credentials = { accessKey: 'AK', secretKey: 'SK', securityToken: undefined };
    const sign = (request: Request): Request => signRequest(request, credentials);
    const { fields } = decodeCommand(
      new PullEncoder('g', 't', 0, sign).encode({ offset: 5, maxMessages: 8, suspendMillis: 0 }, 1).subarray(4),
    );
    const { Signature, ...rest } = fields;
    const unsigned = Object.entries(rest).filter(([name]) => name !== 'AccessKey');
    expect(signRequest({ code: 11, fields: unsigned }, credentials).fields.at(-1)).toEqual(['Signature', Signature]);
  });
});

describe('the header of a pull answer', () => {
  it('says where the queue begins, ends and goes on; a queue that never had a message begins at 0', () => {
    const frame = encodeJson(
      {
        code: 0,
        fields: [
          ['nextBeginOffset', '5'],
          ['minOffset', '-1'],
          ['maxOffset', '9'],
        ],
      },
      1,
    );
    expect(readPullHeader(decodeCommand(frame.subarray(4)))).toEqual({ nextOffset: 5, minOffset: 0, maxOffset: 9 });
  });
});
