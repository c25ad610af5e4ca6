import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import { encodeJson, FLAG_ONEWAY } from '../../../../src/drivers/rocketmq/wire/command.ts';
import { IsthmusError } from '../../../../src/errors.ts';
import type { LaneReader } from '../../../../src/spi/source.ts';
import { FakeBroker, type Reply } from './fake-broker.ts';
import { describeGap, eventually, type Opened, openCluster, range, readTo } from './kit.ts';
import { storedMessage } from './stored-message.ts';

describe('a lane reader in trouble', () => {
  let broker: FakeBroker;
  let opened: Opened;
  let reader: LaneReader;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
  });

  afterEach(async () => {
    await reader.close();
    await opened.cluster.close();
    await broker.close();
    if (opened.budget.usedBytes !== 0)
      throw new Error(`the closed reader still holds ${opened.budget.usedBytes} bytes of the budget`);
  });

  /** Answers the first `times` pulls from now on otherwise. */
  function nextPulls(times: number, reply: Reply | 'silence'): void {
    let left = times;
    broker.intercept = ({ code }) => (code === RequestCode.PULL_MESSAGE && left-- > 0 ? reply : undefined);
  }

  const codes = (): unknown[] => opened.troubles.map((error) => (error instanceof IsthmusError ? error.code : error));

  it.each([
    ['2 SYSTEM_BUSY', ResponseCode.SYSTEM_BUSY, 'BROKER_BUSY'],
    ['215 FLOW_CONTROL', ResponseCode.FLOW_CONTROL, 'BROKER_BUSY'],
    ['14 SERVICE_NOT_AVAILABLE', ResponseCode.SERVICE_NOT_AVAILABLE, 'BROKER_BUSY'],
    ['501 NOT_LEADER_FOR_QUEUE', ResponseCode.NOT_LEADER_FOR_QUEUE, 'BROKER_BUSY'],
    ['1 SYSTEM_ERROR', ResponseCode.SYSTEM_ERROR, 'BROKER_BUSY'],
    ['16 NO_PERMISSION', ResponseCode.NO_PERMISSION, 'ACCESS_DENIED'],
    ['17 TOPIC_NOT_EXIST', ResponseCode.TOPIC_NOT_EXIST, 'TOPIC_NOT_FOUND'],
    ['29 INVALID_PARAMETER', ResponseCode.INVALID_PARAMETER, 'BROKER_REFUSED'],
  ])('waits and goes on after %s', async (_, code, meaning) => {
    broker.produce(200);
    nextPulls(2, { code, remark: 'planted' });
    reader = await opened.open(0);
    expect(await readTo(reader, 199)).toEqual({ offsets: range(0, 200), gaps: [] });
    expect(codes()).toEqual([meaning, meaning, undefined]);
  });

  it('creates its group where the broker does not do so by itself', async () => {
    broker.produce(10);
    broker.groupExists = false;
    broker.intercept = ({ code }) =>
      code === RequestCode.PULL_MESSAGE && !broker.groupExists ? { code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST } : undefined;
    reader = await opened.open(0);
    expect((await readTo(reader, 9)).offsets).toEqual(range(0, 10));
    expect(broker.groupExists).toBe(true);
  });

  it('loses and doubles nothing over many disconnects', async () => {
    broker.produce(3_000);
    let pulls = 0;
    broker.intercept = ({ code }) => {
      if (code === RequestCode.PULL_MESSAGE && ++pulls % 20 === 0) broker.disconnectAll();
      return undefined;
    };
    reader = await opened.open(0);
    expect(await readTo(reader, 2_999)).toEqual({ offsets: range(0, 3_000), gaps: [] });
    expect(codes()).toContain('CONNECTION_LOST');
  });

  it('goes on after a disconnect while it waits at the end', async () => {
    broker.produce(10);
    reader = await opened.open(0);
    await readTo(reader, 9);
    const waiting = readTo(reader, 12);
    await eventually(() => broker.pulls.some(({ offset }) => offset === 10));
    broker.disconnectAll();
    broker.produce(3);
    expect(await waiting).toEqual({ offsets: [10, 11, 12], gaps: [] });
  });

  it('reads what it has although the broker is gone', async () => {
    broker.produce(60);
    reader = await opened.open(0);
    await eventually(() => broker.pulls.length >= 3 && (reader.extent()?.end.major ?? 0) === 60);
    await broker.close();
    await eventually(() => opened.troubles.length > 0);
    expect((await readTo(reader, 31)).offsets.slice(0, 32)).toEqual(range(0, 32));
    broker = await new FakeBroker().start();
  });

  it.each([
    ['header that is no JSON', Buffer.from([0, 0, 0, 8, 0, 0, 0, 4, 1, 2, 3, 4])],
    ['frame larger than any', Buffer.from([0x7f, 0xff, 0xff, 0xff])],
    ['header longer than its frame', Buffer.from([0, 0, 0, 4, 0, 0, 9, 9])],
  ])('reconnects after a %s', async (_, bytes) => {
    broker.produce(100);
    let said = false;
    broker.intercept = ({ code }) => {
      if (code === RequestCode.PULL_MESSAGE && !said) {
        said = true;
        broker.say(bytes);
      }
      return undefined;
    };
    reader = await opened.open(0);
    expect(await readTo(reader, 99)).toEqual({ offsets: range(0, 100), gaps: [] });
  });

  it.each([
    ['lies about the size of a message', (body: Buffer) => body.writeInt32BE(1 << 30, 0)],
    ['has an unknown magic', (body: Buffer) => body.writeInt32BE(7, 4)],
    ['repeats an offset', (body: Buffer) => body.writeBigInt64BE(0n, body.readInt32BE(0) + 20)],
  ])('asks again when an answer %s', async (_, spoil) => {
    broker.produce(100);
    reader = await opened.open(0);
    await readTo(reader, 99);
    let spoilt = false;
    broker.intercept = (command) => {
      if (command.code !== RequestCode.PULL_MESSAGE || spoilt) return undefined;
      spoilt = true;
      const body = storedBody(100, 104);
      spoil(body);
      return { code: 0, remark: 'FOUND', fields: offsets(104, 0, 104), body };
    };
    broker.releaseHeld();
    broker.produce(4);
    expect(await readTo(reader, 103)).toEqual({ offsets: range(100, 104), gaps: [] });
    expect(codes()).toContain('PROTOCOL_VIOLATION');
  });

  it('gives up a silent connection and makes another', async () => {
    broker.produce(100);
    nextPulls(1, 'silence');
    reader = await opened.open(0);
    await eventually(() => broker.pulls.length === 1);
    opened.clock.push(31_000);
    expect(await readTo(reader, 99)).toEqual({ offsets: range(0, 100), gaps: [] });
    expect(codes()[0]).toBe('REQUEST_TIMEOUT');
  });

  it('follows the master to another server', async () => {
    const other = await new FakeBroker().start();
    broker.produce(50);
    other.produce(120);
    reader = await opened.open(0);
    await readTo(reader, 49);
    const waiting = readTo(reader, 119);
    await eventually(() => broker.pulls.some(({ offset }) => offset === 50));
    broker.addresses = { 0: other.address, 1: broker.address };
    broker.disconnectAll();
    expect(await waiting).toEqual({ offsets: range(50, 120), gaps: [] });
    // The last message is read once more, to see that the other server has the same queue.
    expect(other.pulls[0]?.offset).toBe(49);
    await other.close();
  });

  it('leaves a master that lost its role although it still answers', async () => {
    const other = await new FakeBroker().start();
    broker.produce(50);
    other.produce(51);
    reader = await opened.open(0);
    await readTo(reader, 49);
    const waiting = readTo(reader, 50);
    await eventually(() => broker.pulls.some(({ offset }) => offset === 50));
    broker.addresses = { 0: other.address, 1: broker.address };
    // The first look refreshes the route in the background, the next one sees it.
    for (let i = 0; i < 3; i++) {
      const before = broker.pulls.length;
      opened.clock.push(31_000);
      broker.releaseHeld();
      await eventually(() => broker.pulls.length > before || other.pulls.length > 0);
    }
    expect((await waiting).offsets).toEqual([50]);
    await other.close();
  });

  it('reads from a replica while there is no master, and believes none of its losses', async () => {
    broker.produce(100);
    broker.addresses = { 1: broker.address };
    reader = await opened.open(120);
    await eventually(() => broker.pulls.length > 0);
    opened.clock.push(60_000);
    await eventually(() => broker.pulls.length > 2);
    broker.produce(30);
    expect(await readTo(reader, 129)).toEqual({ offsets: range(120, 130), gaps: [] });
  });

  it('answers what a broker asks of a client with "not supported", and ignores its notices', async () => {
    broker.produce(1);
    reader = await opened.open(0);
    await readTo(reader, 0);
    broker.say(encodeJson({ code: 40, fields: [] }, 7, FLAG_ONEWAY));
    broker.say(encodeJson({ code: 39, fields: [] }, 8));
    await eventually(() => broker.answersSeen.length > 0);
    expect(broker.answersSeen).toMatchObject([{ code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, opaque: 8 }]);
  });

  it('waits for a topic that does not exist yet', async () => {
    broker.produce(5);
    broker.intercept = ({ code }) =>
      code === RequestCode.GET_ROUTEINFO_BY_TOPIC ? { code: ResponseCode.TOPIC_NOT_EXIST } : undefined;
    reader = await opened.open(0);
    await eventually(() => codes().includes('TOPIC_NOT_FOUND'));
    broker.intercept = undefined;
    expect((await readTo(reader, 4)).offsets).toEqual(range(0, 5));
  });

  it('shows a gap only after an answer that denies the records was repeated for ten seconds', async () => {
    broker.produce(100);
    reader = await opened.open(150);
    const waiting = reader.read();
    await eventually(() => broker.pulls.length >= 2);
    opened.clock.push(10_000);
    expect(describeGap(await waiting)).toBe('150-100 truncated');
    await expect(reader.read()).rejects.toMatchObject({ code: 'SOURCE_REWOUND' });
  });

  it('shows no gap when the broker was only behind', async () => {
    broker.produce(100);
    reader = await opened.open(150);
    const waiting = readTo(reader, 159);
    await eventually(() => broker.pulls.length >= 2);
    broker.produce(60);
    expect(await waiting).toEqual({ offsets: range(150, 160), gaps: [] });
  });
});

function storedBody(from: number, to: number): Buffer {
  return Buffer.concat(range(from, to).map((offset) => storedMessage({ offset, body: `m${offset}` })));
}

function offsets(next: number, min: number, max: number) {
  return [
    ['nextBeginOffset', String(next)],
    ['minOffset', String(min)],
    ['maxOffset', String(max)],
  ] as const;
}
