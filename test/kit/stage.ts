/** What the tests of a file stand on: real brokers, independent eyes on them, and the mirror of the test at hand. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Brokers, type ServerName, startBrokers } from './brokers.ts';
import { type Eyes, startEyes } from './eyes.ts';
import type { MirrorUnderTest } from './mirror-under-test.ts';

export type Stage = {
  /** Both are there from the first test on, not before. */
  readonly brokers: Brokers;
  readonly eyes: Eyes;
  /** What a test puts here is removed after it. */
  mirror: MirrorUnderTest | undefined;
};

/** Declares what sets the stage for the tests around the call, and clears it away. */
export function useStage(names: readonly ServerName[]): Stage {
  let brokers: Brokers | undefined;
  let eyes: Eyes | undefined;
  const stage: Stage = {
    mirror: undefined,
    get brokers() {
      return there(brokers);
    },
    get eyes() {
      return there(eyes);
    },
  };
  beforeAll(async () => {
    brokers = await startBrokers(names);
    eyes = await startEyes();
  });
  afterEach(async () => {
    await stage.mirror?.remove();
    stage.mirror = undefined;
  });
  afterAll(async () => {
    await eyes?.close();
    await brokers?.stop();
  });
  return stage;
}

function there<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the stage is set right before the first test');
  return part;
}
