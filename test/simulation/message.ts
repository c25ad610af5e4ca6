import { REFUSED_BODY } from '../../src/drivers/memory/lane-writer.ts';
import type { MemoryMessage } from '../../src/drivers/memory/queue-broker.ts';
import { offsetPosition } from '../../src/model/position.ts';
import { formatProvenance } from '../../src/model/provenance.ts';
import type { Plan } from './plan.ts';
import type { SeededRandom } from './random.ts';

/** A message of this id: with or without key, tag and properties, some mirrored to here before, some that the target refuses. */
export function drawMessage(id: string, plan: Plan, random: SeededRandom): MemoryMessage {
  const bad = random.chance(plan.badRecords);
  const damaged = bad && plan.spec.onBadRecord === 'dead-letter' && random.chance(0.5);
  return {
    body: Buffer.from(bad && !damaged ? REFUSED_BODY + id : id),
    ...(random.chance(0.85) ? { key: `k${random.between(1, plan.keys)}` } : {}),
    ...(random.chance(0.7) ? { tag: random.pick(['paid', 'open']) } : {}),
    ...(random.chance(0.7) ? { properties: { zone: random.pick(['a', 'b', 'c']) } } : {}),
    ...(random.chance(0.1) ? { mark: drawMark(random) } : {}),
    ...(damaged ? { damage: 'its bytes make no sense' } : {}),
  };
}

/** One that is none, one of a record that has been in the target's cluster, or one of a record that has not. */
function drawMark(random: SeededRandom): string {
  const kind = random.between(0, 2);
  if (kind === 0) return 'no mark at all';
  const runs = [{ first: offsetPosition(random.between(0, 99)), count: 1 }];
  const passed = kind === 1 ? ['west'] : ['south'];
  return formatProvenance({ cluster: 'north', topic: 'orders', lane: 'n:0', runs, time: 0, passed });
}
