import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openPulsar } from '../../../src/drivers/pulsar/driver.ts';
import { openPulsarNative } from '../../../src/drivers/pulsar/native/driver.ts';
import { openRocketmq } from '../../../src/drivers/rocketmq/driver.ts';
import { openRocketmqGrpc } from '../../../src/drivers/rocketmq/grpc/driver.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import { type Capabilities, rulesBeyond } from '../../../src/spi/capabilities.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { memoryLog } from '../../kit/pulsar-writing.ts';

const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
const pulsar = {
  serviceUrl: 'pulsar://127.0.0.1:1',
  adminUrl: 'http://127.0.0.1:1',
  auth: undefined,
  tls: undefined,
  listenerName: undefined,
  inFlightBytes: 2 ** 20,
};

/** Nothing is connected before the first use. */
const drivers: Readonly<Record<string, Cluster>> = {
  remoting: openRocketmq('c', { namesrv: ['127.0.0.1:1'], auth: undefined, tls: undefined }, deps),
  grpc: openRocketmqGrpc('c', { endpoints: ['127.0.0.1:1'], namespace: '', auth: undefined, tls: false }, deps),
  wire: openPulsar('c', pulsar, deps),
  native: openPulsarNative('c', pulsar, deps),
};

const yes = (offered: boolean | undefined): string => (offered === true ? 'yes' : 'no');
const STORES: Readonly<Record<Capabilities['stores'], string>> = {
  once: 'once',
  'once-if-deduplicated': 'once, where the topic has deduplication',
  'at-least-once': 'at least once',
};

/** Every declaration, in the words of the page. */
const rows: readonly (readonly [what: string, cell: (cluster: Cluster) => string])[] = [
  ['lists topics, so that globs find them', ({ capabilities }) => yes(capabilities.listsTopics)],
  ['creates topics and lets them grow', ({ capabilities }) => yes(capabilities.createsTopics)],
  ['positions are the cluster’s own', ({ capabilities }) => yes(capabilities.exactPositions)],
  ['reads without a group', ({ capabilities }) => yes(capabilities.readsWithoutGroup)],
  ['hands out whole entries', ({ source }) => yes(source?.passesWhole)],
  ['takes whole entries of a Pulsar', ({ sink }) => yes(sink?.takesWhole('pulsar-entry'))],
  ['the writer chooses the partition', ({ capabilities }) => yes(capabilities.choosesPartition)],
  ['a second writer of a lane is kept out by', ({ sink }) => (sink?.fences === true ? 'the cluster' : 'a lease in the state')],
  ['a record is stored', ({ capabilities }) => STORES[capabilities.stores]],
];

function table(): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const names = Object.keys(drivers);
  return [
    line(['', ...names.map((name) => `\`${name}\``)]),
    `|${'---|'.repeat(names.length + 1)}`,
    ...rows.map(([what, cell]) => line([what, ...Object.values(drivers).map(cell)])),
  ].join('\n');
}

describe('what drivers declare', () => {
  it('is what the documentation says of them', () => {
    const page = readFileSync('docs/DRIVERS.md', 'utf8').split('\n');
    expect(page.filter((line) => line.startsWith('|')).join('\n')).toBe(table());
  });

  it('decides which rules a source can keep', () => {
    const { grpc, wire } = drivers;
    if (grpc === undefined || wire === undefined) throw new Error('a driver is missing');
    const all = { topics: ['orders-*', 'audit'], start: 'latest' as const };
    expect(rulesBeyond(wire.capabilities, all)).toEqual([]);
    expect(rulesBeyond(grpc.capabilities, all)).toEqual([
      expect.stringMatching(/^topics: .*orders-\* would find none/),
      expect.stringMatching(/^start: /),
    ]);
    expect(rulesBeyond(grpc.capabilities, { topics: ['audit'], start: 'earliest' })).toEqual([]);
  });
});
