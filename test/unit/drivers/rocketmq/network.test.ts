import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import type { Command } from '../../../../src/drivers/rocketmq/wire/command.ts';
import { offsetPosition } from '../../../../src/model/position.ts';
import { FakeBroker, type Reply } from './fake-broker.ts';
import { eventually, LANE, type Opened, openCluster } from './kit.ts';

describe('requests to a cluster', () => {
  let broker: FakeBroker;
  let opened: Opened;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
  });

  afterEach(async () => {
    await opened.cluster.close();
    await broker.close();
  });

  it('share one connection, and answers find their question whatever their order', async () => {
    const waiting: (() => void)[] = [];
    const offsets: Readonly<Record<number, string>> = { [RequestCode.GET_MIN_OFFSET]: '3', [RequestCode.GET_MAX_OFFSET]: '7' };
    broker.intercept = ({ code }) => {
      const offset = offsets[code];
      return offset === undefined ? undefined : { code: 0, fields: [['offset', offset]] };
    };
    broker.reorder = (send) => void waiting.push(send);
    const { source } = opened.cluster;
    if (source === undefined) throw new Error('the driver has no source');
    const asked = [source.resolveStart(LANE, { kind: 'earliest' }), source.resolveStart(LANE, { kind: 'latest' })];
    await eventually(() => waiting.length === 1);
    waiting.pop()?.();
    await eventually(() => waiting.length === 2);
    for (const send of waiting.toReversed()) send();
    expect(await Promise.all(asked)).toEqual([offsetPosition(3), offsetPosition(7)]);
    expect(broker.connections).toBe(1);
  });

  it('go to the next name server when one is down or not ready, and stay with the one that answers', async () => {
    const unready = await new FakeBroker().start();
    let asked = 0;
    unready.intercept = () => {
      asked++;
      return { code: ResponseCode.SYSTEM_ERROR, remark: 'name server not ready' };
    };
    const several = openCluster(['127.0.0.1:1', unready.address, broker.address]);
    expect((await several.cluster.admin.describeTopic('T1'))?.lanes).toHaveLength(1);
    await several.cluster.admin.describeTopic('T1');
    expect(asked).toBe(1);
    await several.cluster.close();
    await unready.close();
  });

  it('end by themselves when nobody answers', async () => {
    broker.intercept = () => 'silence';
    const asked = opened.cluster.admin.listTopics();
    await eventually(() => broker.connections === 1);
    opened.clock.push(6_000);
    await expect(asked).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', retryable: true });
  });

  it('end with CLOSED when the cluster is closed, and after it', async () => {
    broker.intercept = () => 'silence';
    const asked = opened.cluster.admin.listTopics();
    await eventually(() => broker.connections === 1);
    await Promise.all([expect(asked).rejects.toMatchObject({ code: 'CLOSED' }), opened.cluster.close()]);
    await expect(opened.cluster.admin.listTopics()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('are signed where the cluster has credentials, and the secret is never sent', async () => {
    const seen: Command[] = [];
    broker.intercept = (command) => {
      seen.push(command);
      return undefined;
    };
    const auth = { accessKey: 'AK', secretKey: 'very-secret', securityToken: undefined };
    const signed = openCluster([broker.address], undefined, auth);
    await signed.cluster.admin.describeTopic('T1');
    expect(seen.every(({ fields }) => fields['AccessKey'] === 'AK' && fields['Signature']?.length === 28)).toBe(true);
    expect(JSON.stringify(seen)).not.toContain('very-secret');
    await signed.cluster.close();
  });
});

describe('the offset of our group', () => {
  let broker: FakeBroker;
  let opened: Opened;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
  });

  afterEach(async () => {
    await opened.cluster.close();
    await broker.close();
  });

  const events = (): string[] => opened.log.map(({ event }) => event);

  it('is stored, and its group created where the broker does not know it', async () => {
    broker.groupExists = false;
    const reader = await opened.open(0);
    await reader.commit(offsetPosition(5));
    expect([broker.commits, broker.groupExists, events()]).toEqual([[5], true, []]);
    await reader.close();
  });

  it('only warns once when it cannot be stored, and says when it can again', async () => {
    const refuse: Reply = { code: ResponseCode.SYSTEM_BUSY };
    broker.intercept = ({ code }) => (code === RequestCode.UPDATE_CONSUMER_OFFSET ? refuse : undefined);
    const reader = await opened.open(0);
    await reader.commit(offsetPosition(5));
    await reader.commit(offsetPosition(6));
    expect(events()).toEqual(['source-commit-failed']);
    broker.intercept = undefined;
    await reader.commit(offsetPosition(7));
    expect([broker.commits, events()]).toEqual([[7], ['source-commit-failed', 'source-commit-resumed']]);
    await reader.close();
  });

  it("counts as not stored while an operator's reset waits, although the broker answers success", async () => {
    broker.intercept = ({ code }) =>
      code === RequestCode.UPDATE_CONSUMER_OFFSET ? { code: 0, remark: 'Offset has been previously reset' } : undefined;
    const reader = await opened.open(0);
    await reader.commit(offsetPosition(5));
    expect(opened.log[0]?.fields).toMatchObject({ code: 'CONFLICT' });
    await reader.close();
  });

  it('of a group that never committed is undefined, not 0', async () => {
    const seen: Command[] = [];
    broker.intercept = (command) => {
      if (command.code !== RequestCode.QUERY_CONSUMER_OFFSET) return undefined;
      seen.push(command);
      return { code: ResponseCode.QUERY_NOT_FOUND };
    };
    expect(await opened.cluster.source?.committed(LANE, 'g')).toBeUndefined();
    expect(seen[0]?.fields['setZeroIfNotFound']).toBe('false');
  });
});
