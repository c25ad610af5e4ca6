import { describe, expect, it } from 'vitest';
import { makePlan } from './plan.ts';
import { World } from './world.ts';

/**
 * `ISTHMUS_SIM_SEED=17` replays one run and prints what happened; `ISTHMUS_SIM_RUNS=5000` runs more than the quick set, and
 * `ISTHMUS_SIM_FROM=1000` other ones.
 */
const ONE = process.env['ISTHMUS_SIM_SEED'];
const RUNS = Number(process.env['ISTHMUS_SIM_RUNS'] ?? 200);
const FROM = Number(process.env['ISTHMUS_SIM_FROM'] ?? 1);
const CHUNK = 50;

async function simulate(seed: number): Promise<void> {
  const plan = makePlan(seed);
  const world = new World(plan);
  try {
    const outcome = await world.run();
    if (ONE !== undefined) console.log([JSON.stringify(plan, null, 1), ...world.lines, JSON.stringify(outcome)].join('\n'));
  } catch (error) {
    if (ONE !== undefined) console.log([JSON.stringify(plan, null, 1), ...world.lines].join('\n'));
    throw new Error(`seed ${seed} (replay: ISTHMUS_SIM_SEED=${seed} npx vitest run --project simulation): ${String(error)}`);
  }
}

const seeds = ONE === undefined ? Array.from({ length: RUNS }, (_, i) => FROM + i) : [Number(ONE)];
const chunks = Array.from({ length: Math.ceil(seeds.length / CHUNK) }, (_, i) => seeds.slice(i * CHUNK, (i + 1) * CHUNK));

describe('the heart over clusters that fail', () => {
  it.each(chunks)('loses, doubles and reorders nothing in the runs from seed %i on', { timeout: 3_600_000 }, async (...chunk) => {
    const failures: string[] = [];
    for (const seed of chunk) await simulate(seed).catch((error: unknown) => failures.push(String(error)));
    expect(failures).toEqual([]);
  });
});
