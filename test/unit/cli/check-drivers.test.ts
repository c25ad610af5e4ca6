import { describe, expect, it } from 'vitest';
import { ALL_CAPABILITIES, type Capabilities } from '../../../src/spi/capabilities.ts';
import type { CheckTopics, Cluster } from '../../../src/spi/cluster.ts';
import { cli, fakeCluster, type Outcome, writeConfig } from './kit.ts';

const PROXY: Capabilities = {
  listsTopics: false,
  createsTopics: false,
  exactPositions: false,
  readsWithoutGroup: false,
  choosesPartition: false,
  stores: 'at-least-once',
};

/** Checks one mirror between two RocketMQ clusters, with drivers that can do so much. */
async function check(
  mirror: string,
  { source = ALL_CAPABILITIES, target = ALL_CAPABILITIES }: { source?: Capabilities; target?: Capabilities },
): Promise<Outcome & { readonly asked: Readonly<Record<string, CheckTopics>> }> {
  const file = writeConfig(`region: west
clusters:
  east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  west: { type: rocketmq, region: west, namesrv: ["127.0.0.1:9877"] }
links:
  there: { from: east, to: west, mirrors: { m: ${mirror} } }
`);
  const asked: Record<string, CheckTopics> = {};
  const cluster = (name: string, capabilities: Capabilities): [string, Cluster] => {
    const fake = fakeCluster(name, 'rocketmq', [], async (topics) => {
      asked[name] = topics;
      return [];
    });
    return [name, { ...fake, capabilities }];
  };
  const clusters = new Map([cluster('east', source), cluster('west', target)]);
  const wiring = { openClusters: () => ({ clusters, close: () => Promise.resolve() }) };
  return { ...(await cli(['check', '-c', file], { wiring })), asked };
}

describe('isthmus check, of a driver that cannot do everything', () => {
  it('refuses globs where topics cannot be listed, and a start where the group decides', async () => {
    const { code, out } = await check('{ topics: ["orders-*", audit], start: latest }', { source: PROXY });
    expect(code).toBe(1);
    expect(out).toContain('FAIL  rules: topics: the driver of its source cannot list topics, so orders-* would find none');
    expect(out).toContain('FAIL  rules: start: the driver of its source begins where the consumer group is');
    expect(out).toMatch(/2 things do not work$/);
  });

  it('tries topics that are named outright, although nobody lists them', async () => {
    const { code, out, asked } = await check('{ topics: [orders, audit], exclude: [audit] }', { source: PROXY });
    expect(code).toBe(0);
    expect(out).toContain('mirror there/m: 1 topics match now\n  ok    orders -> orders\n');
    expect(asked).toEqual({ east: { reads: ['orders'], writes: [] }, west: { reads: [], writes: ['orders'] } });
  });

  it('tries the dead-letter topic where nobody would create it', async () => {
    const mirror = '{ topics: [orders], onBadRecord: dead-letter }';
    const { asked } = await check(mirror, { source: PROXY, target: PROXY });
    expect(asked['west']?.writes).toEqual(['orders', 'orders-dead-letter']);
    expect((await check(mirror, { source: PROXY })).asked['west']?.writes).toEqual(['orders']);
  });

  it.each<[string, Partial<Capabilities>, 'source' | 'target', string]>([
    ['tells no positions', { exactPositions: false }, 'source', 'WARN  delivery: the driver of its source tells no positions'],
    ['shows nothing', { stores: 'at-least-once' }, 'target', 'WARN  delivery: the driver of its target cannot look'],
    ['sends again', { stores: 'once-if-deduplicated' }, 'target', 'WARN  delivery: the client of its target sends again'],
    ['spreads by key', { choosesPartition: false }, 'target', 'info  order: the target itself chooses the queue'],
  ])('warns of an end that %s', async (_, lack, end, line) => {
    const { code, out } = await check('{ topics: [orders] }', { [end]: { ...ALL_CAPABILITIES, ...lack } });
    expect([code, out]).toEqual([0, expect.stringContaining(line)]);
  });

  it('promises exactly once only where both ends keep it', async () => {
    const promise = 'exactly once comes from the marks in the target';
    expect((await check('{ topics: [orders] }', {})).out).toContain(promise);
    expect((await check('{ topics: [orders] }', {})).out).not.toContain('delivery');
    expect((await check('{ topics: [orders] }', { target: PROXY })).out).not.toContain(promise);
  });
});
