import { describe, expect, it } from 'vitest';
import { isApplicationTopic } from '../../../../src/drivers/rocketmq/system-topics.ts';
import type { Command } from '../../../../src/drivers/rocketmq/wire/command.ts';
import { readClusterInfo } from '../../../../src/drivers/rocketmq/wire/get-cluster-info.ts';
import { readRoute } from '../../../../src/drivers/rocketmq/wire/get-route.ts';
import { readTopics } from '../../../../src/drivers/rocketmq/wire/list-topics.ts';
import { readTopicSettings } from '../../../../src/drivers/rocketmq/wire/topic-config.ts';
import { readTopicStats } from '../../../../src/drivers/rocketmq/wire/topic-stats.ts';

function answer(body: string): Command {
  return { code: 0, opaque: 1, flag: 1, version: 513, remark: '', fields: {}, body: Buffer.from(body) };
}

const BROKER =
  '{"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.1:10921"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}';

// Bodies as the official 5.5.0 jars write them.
describe('the body of an answer', () => {
  it.each([
    ['as old name servers write it', BROKER],
    ['in standard JSON', BROKER.replace('{0:', '{"0":').replace(',1:', ',"1":')],
  ])('is read as a route %s', (_, broker) => {
    const route = readRoute(
      answer(
        `{"brokerDatas":[${broker}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":4}]}`,
      ),
    );
    expect(route).toEqual({
      brokers: [
        {
          brokerName: 'broker-a',
          cluster: 'DefaultCluster',
          master: '127.0.0.1:10911',
          reader: '127.0.0.1:10911',
          readQueues: 8,
          writeQueues: 4,
          readable: true,
          writable: true,
        },
      ],
      static: false,
    });
  });

  it('is read as a route without a master: readable from a replica, not writable', () => {
    const route = readRoute(
      answer(
        `{"brokerDatas":[{"brokerAddrs":{"2":"r2:1","1":"r1:1"},"brokerName":"b"}],"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":1}]}`,
      ),
    );
    expect(route.brokers[0]).toMatchObject({ master: undefined, reader: 'r1:1', readable: true, writable: false });
  });

  it('is read as a route whose permissions are taken away', () => {
    const of = (perm: number) =>
      readRoute(
        answer(
          `{"brokerDatas":[${BROKER}],"queueDatas":[{"brokerName":"broker-a","perm":${perm},"readQueueNums":1,"writeQueueNums":1}]}`,
        ),
      ).brokers[0];
    expect(of(4)).toMatchObject({ readable: true, writable: false });
    expect(of(2)).toMatchObject({ readable: false, writable: true });
  });

  it('is read as a route of several brokers in the order of their names, and of a static topic', () => {
    const queues = (name: string): string => `{"brokerName":"${name}","perm":6,"readQueueNums":1,"writeQueueNums":1}`;
    const route = readRoute(
      answer(`{"brokerDatas":[],"queueDatas":[${queues('b')},${queues('a')}],"topicQueueMappingByBroker":{"a":{}}}`),
    );
    expect(route.brokers.map(({ brokerName }) => brokerName)).toEqual(['a', 'b']);
    expect(route.static).toBe(true);
  });

  it.each([-1, 1e9])('is refused as a route of %d queues', (count) => {
    expect(() =>
      readRoute(answer(`{"brokerDatas":[],"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":${count}}]}`)),
    ).toThrow(/readQueueNums/);
  });

  it('is read as the brokers of a cluster', () => {
    expect(
      readClusterInfo(answer(`{"brokerAddrTable":{"broker-a":${BROKER}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}`)),
    ).toEqual({
      clusters: ['DefaultCluster'],
      brokers: [{ name: 'broker-a', master: '127.0.0.1:10911' }],
    });
  });

  it('is read as the ends of queues', () => {
    const body =
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T1"}:{"lastUpdateTimestamp":1,"maxOffset":5,"minOffset":-1}},"topicPutTps":0.0}';
    expect(readTopicStats(answer(body))).toEqual([{ queueId: 0, minOffset: 0, maxOffset: 5 }]);
  });

  it('is read as names and settings of topics', () => {
    expect(readTopics(answer('{"topicList":["T1","T2"]}'))).toEqual(['T1', 'T2']);
    expect(readTopicSettings(answer('{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"topicName":"T1"}'))).toEqual({
      perm: '6',
      'message.type': 'FIFO',
    });
  });

  it.each(['', 'null', '[]', '"x"'])('is refused when it is %s', (body) => {
    expect(() => readRoute(answer(body))).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });
});

describe('an application topic', () => {
  it.each(['orders', 'TBW102-like', 'RETRY', 'a_REPLY_TOPIC'])('may be called %s', (topic) => {
    expect(isApplicationTopic(topic, ['c1'], ['b1'])).toBe(true);
  });

  it.each([
    'TBW102',
    'SCHEDULE_TOPIC_XXXX',
    'RMQ_SYS_TRANS_HALF_TOPIC',
    'rmq_sys_wheel_timer',
    '%RETRY%g',
    '%DLQ%g',
    'c1',
    'b1',
    'c1_REPLY_TOPIC',
  ])('is none if called %s', (topic) => {
    expect(isApplicationTopic(topic, ['c1'], ['b1'])).toBe(false);
  });
});
