import { recordPlace } from '../mirror/audit/places.ts';
import type { DeadLetters } from '../mirror/audit/plan.ts';
import { type ReadDeps, readStretch } from '../mirror/audit/stretch-reader.ts';
import { laneKey } from '../model/lane.ts';
import { formatPosition, parsePosition } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import { deadLetterTopicOf } from '../model/topic-name.ts';
import type { VerifiedMirror } from './verifications.ts';

/** More dead letters than this are not told from lost records. */
const MOST = 200_000;

const NONE: DeadLetters = { has: () => false };

/** Which records of a source topic lie in its dead-letter topic. */
export async function readDeadLetters(
  mirror: VerifiedMirror,
  topic: string,
  group: string,
  deps: ReadDeps,
): Promise<DeadLetters> {
  const { spec, source, target, readsTarget } = mirror;
  if (spec.onBadRecord !== 'dead-letter') return NONE;
  const letterTopic = deadLetterTopicOf(spec, topic);
  const described = await target.admin.describeTopic(letterTopic);
  const places = new Set<string>();
  const visitor = {
    records: (batch: RecordBatch, first: number, end: number): void => {
      for (let i = first; i < end && places.size < MOST; i++) {
        const position = parsePosition(batch.property(i, 'ISTHMUS-DEAD-LETTER-POSITION') ?? '');
        const lane = batch.property(i, 'ISTHMUS-DEAD-LETTER-LANE');
        const ours =
          batch.property(i, 'ISTHMUS-DEAD-LETTER-CLUSTER') === source.name &&
          batch.property(i, 'ISTHMUS-DEAD-LETTER-TOPIC') === topic;
        if (ours && lane !== undefined && position !== undefined) places.add(placeKey(lane, position));
      }
    },
    gone: (): void => undefined,
  };
  for (const { lane } of described?.lanes ?? []) {
    const id = { topic: letterTopic, lane };
    const from = await readsTarget.resolveStart(id, { kind: 'earliest' });
    const to = await readsTarget.resolveStart(id, { kind: 'latest' });
    await readStretch(readsTarget, group, { lane: id, from, to }, visitor, deps);
  }
  return { has: (lane, position) => lane.topic === topic && places.has(placeKey(lane.lane, position)) };
}

function placeKey(lane: string, position: Parameters<typeof recordPlace>[0]): string {
  return laneKey({ topic: formatPosition(recordPlace(position)), lane });
}
