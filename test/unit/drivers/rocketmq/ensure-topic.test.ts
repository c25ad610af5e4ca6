import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import type { ClusterAdmin } from '../../../../src/spi/cluster.ts';
import { FakeBroker } from './fake-broker.ts';
import { type Opened, openCluster } from './kit.ts';

/** A name server that forgets brokers which are away, as the real one does: `broker-a` is there, `broker-b` is not. */
describe('a topic of which a broker is away', () => {
  let broker: FakeBroker;
  let opened: Opened;
  let admin: ClusterAdmin;
  /** Queues at broker-a. */
  let queues: number;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
    ({ admin } = opened.cluster);
    queues = 0;
    const addresses = { brokerName: 'broker-a', cluster: 'c', brokerAddrs: { 0: broker.address } };
    broker.intercept = ({ code, fields }) => {
      const json = (value: unknown) => ({ code: 0, body: Buffer.from(JSON.stringify(value)) });
      if (code === RequestCode.GET_BROKER_CLUSTER_INFO)
        return json({ brokerAddrTable: { 'broker-a': addresses }, clusterAddrTable: { c: ['broker-a'] } });
      if (code === RequestCode.UPDATE_AND_CREATE_TOPIC) {
        queues = Number(fields['writeQueueNums']);
        return { code: 0 };
      }
      if (code !== RequestCode.GET_ROUTEINFO_BY_TOPIC) return undefined;
      if (queues === 0) return { code: ResponseCode.TOPIC_NOT_EXIST };
      const queueDatas = [{ brokerName: 'broker-a', readQueueNums: queues, writeQueueNums: queues, perm: 6 }];
      return json({ brokerDatas: [addresses], queueDatas });
    };
  });

  afterEach(async () => {
    await opened.cluster.close();
    await broker.close();
  });

  it.each([
    ['of the broker that is there, which has it no more', ['broker-a:0', 'broker-a:1'], ResponseCode.TOPIC_NOT_EXIST, true],
    ['of both: the one that is away may have it still', ['broker-a:0', 'broker-b:0'], ResponseCode.TOPIC_NOT_EXIST, false],
    ['of the broker that is there, which has it still', ['broker-a:0'], 0, false],
    ['nowhere, as far as anybody knows', [], ResponseCode.TOPIC_NOT_EXIST, false],
  ])('counts as deleted, when the name server knows it not, where its queues were %s', async (_, lanes, code, deleted) => {
    const { intercept } = broker;
    broker.intercept = (command) => (command.code === RequestCode.GET_TOPIC_CONFIG ? { code } : intercept?.(command));
    expect(await admin.isDeleted?.('T1', lanes)).toBe(deleted);
    queues = 1;
    expect(await admin.isDeleted?.('T1', lanes)).toBe(false);
  });

  it('does not grow at the others for the queues that it has there', async () => {
    queues = 2;
    const formerLanes = ['broker-a:0', 'broker-a:1', 'broker-b:0', 'broker-b:1'];
    expect(await admin.ensureTopic('t', 4, { formerLanes })).toMatchObject({ created: false, lanes: { length: 2 } });
    expect(queues).toBe(2);
    await admin.ensureTopic('t', 5, { formerLanes });
    expect(queues).toBe(5);
  });

  it('is not made anew elsewhere while it may still be there', async () => {
    const asked = admin.ensureTopic('t', 2, { formerLanes: ['broker-b:0', 'broker-b:1'] });
    await expect(asked).rejects.toMatchObject({ code: 'BROKER_BUSY', retryable: true });
    expect(queues).toBe(0);
  });

  it('is made anew where its brokers are there, and says so', async () => {
    expect(await admin.ensureTopic('t', 2, { formerLanes: ['broker-a:0'] })).toMatchObject({ created: true });
    expect(await admin.ensureTopic('t', 2, { formerLanes: ['broker-a:0'] })).toMatchObject({ created: false });
  });
});
