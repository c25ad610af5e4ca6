import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { broken, problemsOf } from './kit.ts';

describe('a RocketMQ cluster behind its proxy', () => {
  const behind = (fields: string): string => broken('namesrv: ["127.0.0.1:9876"]', `driver: grpc, ${fields}`);

  it('has endpoints, and neither name servers nor TLS details', () => {
    const { clusters } = parseConfig(
      behind('endpoints: ["127.0.0.1:8081"], namespace: shop, tls: true'),
      '/etc/isthmus/west.yaml',
      {},
    );
    expect(clusters['rmq-east']).toEqual({
      type: 'rocketmq',
      driver: 'grpc',
      region: 'east',
      endpoints: ['127.0.0.1:8081'],
      namespace: 'shop',
      auth: undefined,
      tls: true,
    });
    const paths = problemsOf(behind('namesrv: ["127.0.0.1:9876"]')).map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['clusters.rmq-east.endpoints', 'clusters.rmq-east.namesrv']));
  });

  it('has a driver that is known', () => {
    expect(problemsOf(broken('namesrv:', 'driver: pigeon, namesrv:')).map(({ path }) => path)).toEqual([
      'clusters.rmq-east.driver',
    ]);
  });
});
