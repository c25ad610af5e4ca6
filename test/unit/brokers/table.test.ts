import { describe, expect, test } from 'vitest';
import {
  defaultNames,
  endpointsOf,
  listenedPorts,
  parseOffset,
  pulsarEndpoints,
  redisEndpoints,
  rocketmqEndpoints,
  serverNames,
  withNamesrvOwners,
} from '../../../scripts/brokers/table.ts';

const allPorts = (offset: number): readonly number[] => {
  // A further broker names the namesrv of its cluster without listening there.
  return serverNames.flatMap((name) => listenedPorts(endpointsOf(name, offset)));
};

describe('port table', () => {
  test('keeps the ports that people and configurations know', () => {
    expect(rocketmqEndpoints('rmq-east', 0)).toMatchObject({
      namesrv: '127.0.0.1:29876',
      broker: '127.0.0.1:20911',
      proxyGrpc: '127.0.0.1:28081',
      proxyRemoting: '127.0.0.1:28080',
    });
    expect(rocketmqEndpoints('rmq-west', 0)).toMatchObject({
      namesrv: '127.0.0.1:39876',
      broker: '127.0.0.1:30911',
      proxyGrpc: '127.0.0.1:38081',
      proxyRemoting: '127.0.0.1:38080',
    });
    expect(pulsarEndpoints('pulsar-east', 0)).toMatchObject({
      serviceUrl: 'pulsar://127.0.0.1:26650',
      adminUrl: 'http://127.0.0.1:28082',
      ports: { bookie: 23181 },
    });
    expect(pulsarEndpoints('pulsar-west', 0)).toMatchObject({
      serviceUrl: 'pulsar://127.0.0.1:36650',
      adminUrl: 'http://127.0.0.1:38082',
      ports: { bookie: 33181 },
    });
    expect(redisEndpoints('redis-east', 0).url).toBe('redis://127.0.0.1:26379');
    expect(redisEndpoints('redis-west', 0).url).toBe('redis://127.0.0.1:36379');
  });

  test('counts the two ports that a RocketMQ broker opens beside its own', () => {
    expect(listenedPorts(rocketmqEndpoints('rmq-east', 0))).toEqual(expect.arrayContaining([20909, 20911, 20912]));
  });

  test('gives no port to two servers, nor to two beds with different offsets', () => {
    for (const offset of [1000, 2000, 5000, 9000]) {
      const both = [...allPorts(0), ...allPorts(offset)];
      expect(new Set(both).size).toBe(both.length);
    }
  });

  test('shifts every port by the offset', () => {
    expect(allPorts(1000)).toEqual(allPorts(0).map((port) => port + 1000));
    expect(rocketmqEndpoints('rmq-east', 1000).namesrv).toBe('127.0.0.1:30876');
  });

  test('leaves the ports of the databases free', () => {
    expect(allPorts(0)).not.toContain(23306);
    expect(allPorts(0)).not.toContain(25432);
  });

  test('starts six servers unless told otherwise, none of them with the costly timer wheel', () => {
    expect(defaultNames).toHaveLength(6);
    expect(rocketmqEndpoints('rmq-timer', 0).timerWheel).toBe(true);
    for (const name of defaultNames) expect(endpointsOf(name, 0)).not.toMatchObject({ timerWheel: true });
  });
});

describe('port offset', () => {
  test('is 0 when nothing is said', () => {
    expect(parseOffset(undefined)).toBe(0);
    expect(parseOffset('')).toBe(0);
    expect(parseOffset('1000')).toBe(1000);
  });

  test.each(['x', '1.5', '20000', '-30000', 'NaN', '1000;'])('refuses %s', (text) => {
    expect(() => parseOffset(text)).toThrow(/port offset must be a whole number from -?\d+ to \d+/);
  });
});

describe('further brokers', () => {
  test('bring the server that owns their namesrv along, once and before them', () => {
    expect(withNamesrvOwners(['rmq-east-b', 'redis-east', 'rmq-east'])).toEqual(['rmq-east', 'rmq-east-b', 'redis-east']);
  });

  test('share the namesrv of their cluster and listen on other ports', () => {
    const first = rocketmqEndpoints('rmq-east', 0);
    const further = rocketmqEndpoints('rmq-east-b', 0);
    expect(further).toMatchObject({ cluster: 'rmq-east', namesrv: first.namesrv, ownsNamesrv: false });
    expect(further.brokerName).not.toBe(first.brokerName);
    expect(listenedPorts(further)).not.toContain(first.ports.namesrv);
  });
});
