import { type ProcessOptions, type Stage, specOf } from '../kit.ts';
import { EVERY, LANES } from './following.ts';

/** A link each way, on one topic that applications write on both sides. */
export const BOTH: ProcessOptions = {
  mirrors: [specOf('m'), specOf('back', { topics: ['orders-copy'], rename: 'orders' })],
  groups: EVERY,
  bothWays: true,
};

/** An application writes a record of its own into each partition of the target. */
function writeAtTarget(stage: Stage, name: string): void {
  for (const partition of LANES.keys())
    stage.target.store('orders-copy', partition, {
      records: [{ body: Buffer.from(`${name}/${partition}`), key: undefined, mark: undefined }],
      mark: undefined,
    });
}

/** Both sides are written all the time, for so long. */
export async function writeBoth(
  stage: Stage,
  millis: number,
  { source, target }: { source: boolean; target: boolean },
): Promise<void> {
  for (let at = 0; at < millis; at += 100) {
    if (source) for (const lane of LANES) stage.produce(1, {}, 'orders', lane);
    if (target) writeAtTarget(stage, `west-${stage.time.millis}`);
    await stage.time.pass(100);
  }
}
