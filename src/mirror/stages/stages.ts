import type { LaneRecorder } from '../../spi/recorder.ts';
import type { Stage } from '../../spi/stage.ts';
import type { CutRecords } from '../cut-index.ts';
import type { LanePlan, MirrorContext } from '../lane-plan.ts';
import type { PositionSet } from '../position-set.ts';
import { alreadyStored } from './already-stored.ts';
import { CutPlaces } from './cut-places.ts';
import { filterBy } from './filter.ts';
import { keyBy } from './key-by.ts';
import { loopCut } from './loop-cut.ts';
import { transformBy } from './transform.ts';

/** The stages of a lane in their order; those that would do nothing are left out. */
export function stagesOf(options: {
  readonly context: Pick<MirrorContext, 'sourceCluster' | 'targetCluster' | 'spec' | 'marks'>;
  readonly plan: LanePlan;
  readonly stored: PositionSet;
  readonly recorder: Pick<LaneRecorder, 'damagedMarks'>;
  /** Sees what a batch was like before the mirror's rule changes it. */
  readonly witness?: Stage | undefined;
  /** Is told where in the target those records lie that are cut as loops. */
  readonly cuts?: CutRecords | undefined;
}): Stage[] {
  const { sourceCluster, targetCluster, spec, marks } = options.context;
  const onDamagedMarks = (records: number): void => options.recorder.damagedMarks(records);
  return [
    // The cut first: what is stored already gets its origin, too, by which a dedup window knows it.
    loopCut({ sourceCluster, targetCluster, marks, onDamagedMarks, places: cutPlaces(options) }),
    options.stored.empty ? undefined : alreadyStored(options.stored),
    filterBy(spec.filter),
    options.witness,
    spec.routing.mode === 'key' ? keyBy(spec.routing.by) : undefined,
    transformBy(spec.transform),
  ].filter((stage) => stage !== undefined);
}

function cutPlaces({
  context,
  plan,
  cuts,
}: Pick<Parameters<typeof stagesOf>[0], 'context' | 'plan' | 'cuts'>): CutPlaces | undefined {
  if (cuts === undefined) return undefined;
  const { targetCluster, marks } = context;
  const partitionOf = plan.targetPartition ?? ((): undefined => undefined);
  return new CutPlaces({ targetCluster, targetTopic: plan.targetTopic, marks, partitionOf, records: cuts });
}
