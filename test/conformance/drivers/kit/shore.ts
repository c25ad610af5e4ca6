/** What the tests of one driver share: its cluster, kept open from the first to the last. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import type { LaneId } from '../../../../src/model/lane.ts';
import type { Position } from '../../../../src/model/position.ts';
import type { ReadOptions } from '../../../../src/spi/source.ts';
import { openTestReader, type TestReader } from './reading.ts';
import { type DriverUnderTest, type OpenCluster, openBoth, type Surroundings } from './under-test.ts';

export class Shore {
  readonly driver: DriverUnderTest;
  /** Open from the beginning, because it says which tests there are; it connects to nothing before it is used. */
  readonly cluster: OpenCluster;
  #surroundings: Surroundings | undefined;
  readonly #readers: TestReader[] = [];

  constructor(driver: DriverUnderTest) {
    this.driver = driver;
    this.cluster = openBoth(driver);
    beforeAll(async () => {
      this.#surroundings = await driver.start();
    });
    afterAll(async () => {
      for (const reader of this.#readers) await reader.close();
      await this.cluster.close();
      await this.#surroundings?.stop();
    });
  }

  get world(): Surroundings {
    if (this.#surroundings === undefined) throw new Error('nothing runs');
    return this.#surroundings;
  }

  /** A new topic, its lanes, and a group that may read it. */
  async newTopic(
    lanes = 1,
  ): Promise<{ readonly topic: string; readonly lanes: readonly LaneId[]; readonly lane: LaneId; readonly group: string }> {
    const topic = this.driver.newTopicName();
    const names = await this.world.makeTopic(topic, lanes);
    const ids = names.map((lane) => ({ topic, lane }));
    const [lane] = ids;
    if (lane === undefined) throw new Error('a topic without lanes');
    this.cluster.sink.setPartitions(topic, names);
    const group = `conformance-${randomUUID()}`;
    await this.world.makeGroup(topic, group);
    return { topic, lanes: ids, lane, group };
  }

  /** A reader of its own budget, from the earliest record on where nothing else is said; closed at the end if not before. */
  async read(lane: LaneId, options: Partial<ReadOptions> & Pick<ReadOptions, 'group'>, from?: Position): Promise<TestReader> {
    const { source } = this.cluster;
    const reader = await openTestReader(source, lane, from ?? (await source.resolveStart(lane, { kind: 'earliest' })), options);
    this.#readers.push(reader);
    return reader;
  }
}
