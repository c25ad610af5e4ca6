/** Random histories of a mirrored topic, step by step. */
import fc from 'fast-check';
import { History, ROUND, type Shape } from './history.ts';

export type Step = readonly [kind: string, a: number, b: number, c: number];

export const shapes: fc.Arbitrary<Shape> = fc
  .record({
    sourceEntries: fc.boolean(),
    targetEntries: fc.boolean(),
    whole: fc.boolean(),
    lanes: fc.integer({ min: 1, max: 3 }),
    partitions: fc.integer({ min: 1, max: 3 }),
    byKey: fc.boolean(),
    perKey: fc.boolean(),
    bothWays: fc.boolean(),
  })
  .map((shape) => ({ ...shape, whole: shape.whole && shape.sourceEntries && shape.targetEntries && !shape.byKey }))
  .map((shape) => (shape.byKey ? shape : { ...shape, partitions: shape.lanes }));

const step = (...kinds: string[]): fc.Arbitrary<Step> => fc.tuple(fc.constantFrom(...kinds), fc.nat(8), fc.nat(8), fc.nat(8));
export const ORDINARY: readonly string[] = [
  'write',
  'write',
  'write',
  'read',
  'read',
  'read',
  'store',
  'store',
  'store',
  'hear',
  'hear',
  'save',
  'save',
  'observe',
  'give-back',
  'local',
];
export const RARE: readonly string[] = ['crash', 'around', 'filtered'];
export const BREAKING: readonly string[] = ['empty', 'wipe', 'brought', 'lost-track', 'expire'];
export const histories = (...kinds: string[]): fc.Arbitrary<readonly Step[]> =>
  fc.array(step(...kinds), { minLength: 10, maxLength: 80, size: 'max' });
/** Per lane: how many records a group has done from the beginning, and which ones beyond. */
export const groups: fc.Arbitrary<readonly { readonly at: number; readonly done: readonly number[] }[]> = fc.array(
  fc.record({ at: fc.nat(40), done: fc.array(fc.nat(40), { maxLength: 4 }) }),
  {
    minLength: 3,
    maxLength: 3,
  },
);

export async function play(shape: Shape, steps: readonly Step[]): Promise<History> {
  const history = new History(shape);
  // An index that begins later than the lane is not believed to be whole.
  for (let l = 0; l < shape.lanes; l++) history.write(l, [{ key: l, fate: 'mirrored' }]);
  await history.save();
  for (const [kind, a, b, c] of steps) await playStep(history, shape, kind, a, b, c);
  return history;
}

export async function playStep(history: History, shape: Shape, kind: string, a: number, b: number, c: number): Promise<void> {
  const [l, p] = [a % shape.lanes, a % shape.partitions];
  const many = (fate: 'mirrored' | 'filtered' | 'brought') =>
    Array.from({ length: 1 + (b % 4) }, (_, i) => ({ key: c + i, fate }));
  if (kind === 'write') history.write(l, many('mirrored'));
  if (kind === 'filtered') history.write(l, many('filtered'));
  if (kind === 'brought') history.write(l, many('brought'));
  if (kind === 'read') history.read(l, 1 + b);
  if (kind === 'store') for (let i = 0; i <= c % 3; i++) history.storeNext(l, b % shape.partitions);
  if (kind === 'hear') history.hear(l);
  if (kind === 'save') await history.save();
  if (kind === 'observe') await history.observe();
  if (kind === 'local' && shape.bothWays) history.writeLocally(p, 1 + (b % 3));
  if (kind === 'give-back' && shape.bothWays) history.giveBack(p, 1 + b, c % shape.lanes);
  if (kind === 'around' && shape.bothWays) history.bringAround(p, b, c % shape.lanes, 'around');
  if (kind === 'lost-track' && shape.bothWays) history.bringAround(p, b, c % shape.lanes, 'lost-track');
  if (kind === 'crash') await history.crash(l);
  if (kind === 'empty') await history.empty();
  // In one partition, and in order: what had been stored ahead of others would be missing without a trace until the mirror notices.
  if (kind === 'wipe' && !shape.byKey && !shape.perKey) await history.wipe();
  if (kind === 'expire') history.target.expire(p, b / 10);
}

/** Everything is mirrored, in both directions, and known. */
export async function settle(history: History, shape: Shape): Promise<void> {
  for (let round = 0; round < 3; round++) {
    while (!history.idle) {
      for (let l = 0; l < shape.lanes; l++) {
        history.read(l, ROUND);
        for (let p = 0; p < shape.partitions; p++) history.storeNext(l, p);
        history.hear(l);
      }
    }
    if (shape.bothWays) for (let p = 0; p < shape.partitions; p++) history.giveBack(p, 1_000, p % shape.lanes);
    await history.save();
    await history.observe();
  }
}
