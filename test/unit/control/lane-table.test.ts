import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extendLaneTable, rebuildLaneTable } from '../../../src/control/lane-table.ts';
import { openEntryCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance } from '../../../src/model/provenance.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';

const LANES = ['a:0', 'a:1', 'a:2', 'b:0', 'b:1', 'c:0'];
/** What a topic has at different times: brokers come, go, and come back. */
const seen = fc.array(fc.subarray(LANES, { minLength: 1 }), { minLength: 1, maxLength: 8 });

describe('the table of lanes and partitions', () => {
  it('gives queue i to partition i when all are there from the beginning', () => {
    expect(extendLaneTable([], LANES)).toEqual(LANES);
  });

  it('never moves a lane, never gives two lanes one partition, and has all that are there', () => {
    fc.assert(
      fc.property(seen, (times) => {
        let table: string[] = [];
        for (const lanes of times) {
          const before = table;
          table = extendLaneTable(table, lanes);
          expect(before.every((lane, partition) => lane === '' || table[partition] === lane)).toBe(true);
          expect(lanes.every((lane) => table.includes(lane))).toBe(true);
          const taken = table.filter((lane) => lane !== '');
          expect(new Set(taken).size).toBe(taken.length);
        }
      }),
    );
  });

  it('fills holes before it grows, a lane at the place of its own number where that is free', () => {
    expect(extendLaneTable(['a:0', '', ''], ['a:0', 'a:1', 'a:2'])).toEqual(['a:0', 'a:1', 'a:2']);
    expect(extendLaneTable(['', 'a:1'], ['a:1', 'b:0'])).toEqual(['b:0', 'a:1']);
    expect(extendLaneTable(['b:0'], ['a:0', 'b:0'])).toEqual(['b:0', 'a:0']);
  });
});

describe('a lost table', () => {
  const time = new VirtualTime();
  const SOURCE = { topic: 'orders', lanes: [], settings: {} };

  function target(partitions: number): { broker: EntryBroker; sink: Sink } {
    const random = new SeededRandom(1).next;
    const broker = new EntryBroker(time.clock(), random);
    broker.ensureTopic('copy', partitions);
    const { sink } = openEntryCluster('west', broker, new MemoryNetwork(time.clock(), random, () => NO_FAULTS));
    if (sink === undefined) throw new Error('no sink');
    return { broker, sink };
  }

  function store(broker: EntryBroker, partition: number, lane: string, topic = 'orders', cluster = 'east'): void {
    const runs = [{ first: offsetPosition(0), count: 1 }];
    broker.store('copy', partition, { records: [], mark: formatProvenance({ cluster, topic, lane, runs, time: 0, passed: [] }) });
  }

  async function rebuilt(sink: Sink, partitions: number): Promise<string[]> {
    const table = rebuildLaneTable(sink, 'east', SOURCE, 'copy', partitions);
    await time.pass(1_000);
    return await table;
  }

  it('is learnt from the marks in the target, whichever brokers are there now', async () => {
    const { broker, sink } = target(4);
    for (const [partition, lane] of [
      [0, 'b:0'],
      [1, 'b:1'],
      [3, 'a:0'],
    ] as const) {
      store(broker, partition, lane);
      store(broker, partition, 'x:9', 'other-topic');
      store(broker, partition, 'x:8', 'orders', 'north');
    }
    expect(await rebuilt(sink, 4)).toEqual(['b:0', 'b:1', '', 'a:0']);
  });

  it('is found behind any number of newer entries of others', async () => {
    const { broker, sink } = target(1);
    store(broker, 0, 'a:0');
    for (let i = 0; i < 1_500; i++) store(broker, 0, 'z:0', 'another');
    expect(await rebuilt(sink, 1)).toEqual(['a:0']);
  });

  it('is begun anew when nothing is marked', async () => {
    const { broker, sink } = target(2);
    store(broker, 0, 'a:0', 'another');
    expect(await rebuilt(sink, 2)).toEqual([]);
  });

  it('has a lane once, also where routing by key spread its marks before', async () => {
    const { broker, sink } = target(3);
    for (const partition of [0, 1, 2]) store(broker, partition, 'a:0');
    expect(await rebuilt(sink, 3)).toEqual(['a:0', '', '']);
  });
});
