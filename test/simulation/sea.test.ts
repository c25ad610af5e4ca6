import { describe, expect, it } from 'vitest';
import { FOCI, focusOn, makeSeaPlan } from './sea/plan.ts';
import { Sea } from './sea/sea.ts';

/** `ISTHMUS_SEA_SEED=17` replays one run (with `ISTHMUS_SEA_FOCUS` as the failure says) and prints what happened; `ISTHMUS_SEA_RUNS` and `ISTHMUS_SEA_FROM` run others than the quick set. */
const ONE = process.env['ISTHMUS_SEA_SEED'];
const RUNS = Number(process.env['ISTHMUS_SEA_RUNS'] ?? 300);
const FROM = Number(process.env['ISTHMUS_SEA_FROM'] ?? 1);
const FOCUS = FOCI.find((focus) => focus === process.env['ISTHMUS_SEA_FOCUS']);
const CHUNK = 50;
const FOCUSED_RUNS = 15;

async function sail(seed: number, focus = FOCUS): Promise<void> {
  const drawn = makeSeaPlan(seed);
  const plan = focus === undefined ? drawn : focusOn(focus, drawn);
  const sea = new Sea(plan);
  try {
    const outcome = await sea.run();
    if (ONE !== undefined) console.log([JSON.stringify(plan, null, 1), ...sea.lines, JSON.stringify(outcome)].join('\n'));
  } catch (error) {
    if (ONE !== undefined) console.log([JSON.stringify(plan, null, 1), ...sea.lines].join('\n'));
    throw new Error(
      `seed ${seed}, ${plan.shape} (replay: ISTHMUS_SEA_SEED=${seed} ISTHMUS_SEA_FOCUS='${focus ?? ''}' npx vitest run --project simulation sea): ${String(error)}`,
    );
  }
}

const seeds = ONE === undefined ? Array.from({ length: RUNS }, (_, i) => FROM + i) : [Number(ONE)];
const chunks = Array.from({ length: Math.ceil(seeds.length / CHUNK) }, (_, i) => seeds.slice(i * CHUNK, (i + 1) * CHUNK));

describe('clusters of both kinds, one way, both ways and in rings', () => {
  it.each(chunks)(
    'get every record once, in order, and nothing back, from seed %i on',
    { timeout: 3_600_000 },
    async (...chunk) => {
      const failures: string[] = [];
      for (const seed of chunk) await sail(seed).catch((error: unknown) => failures.push(String(error)));
      expect(failures).toEqual([]);
    },
  );

  it.each(ONE === undefined ? FOCI : [])('get every record once with nothing but %s', { timeout: 3_600_000 }, async (focus) => {
    const failures: string[] = [];
    for (let i = 0; i < FOCUSED_RUNS; i++) await sail(FROM + i, focus).catch((error: unknown) => failures.push(String(error)));
    expect(failures).toEqual([]);
  });
});
