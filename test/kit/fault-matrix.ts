/** Declares the tests of one direction: every fault, with dedup windows and without. */
import { describe, it } from 'vitest';
import { type Fault, quickFaults } from './faults.ts';
import { testSeed } from './random.ts';
import { expectFaithful, playScene, type Way } from './scene.ts';
import { useStage } from './stage.ts';

export type MatrixSize = { readonly messages: number; readonly rate: number };

export function faultMatrix(way: Way, faults: readonly Fault[], windows: readonly boolean[], size: MatrixSize): void {
  const stage = useStage([way.from, way.to, 'redis-east']);

  describe.each(windows)(`a mirror from ${way.name}, dedup windows: %s (seed ${testSeed})`, (on) => {
    const wanted = faults.filter((fault) => fault.in?.(way) ?? true);
    it.each(wanted)('is exact after $name', async (fault) => {
      expectFaithful(await playScene(stage, way, { windows: on, ...size, ...fault.options }, fault.run));
    });
  });
}

/** A quick look at the matrix, which `npm run test:faults` goes through as a whole. */
export function quickFaultMatrix(way: Way): void {
  faultMatrix(way, quickFaults, [true], { messages: 6_000, rate: 1_500 });
}
