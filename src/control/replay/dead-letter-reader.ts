import { recordPlace } from '../../mirror/audit/places.ts';
import type { DeadLetters } from '../../mirror/audit/plan.ts';
import { type ReadDeps, readStretch } from '../../mirror/audit/stretch-reader.ts';
import { formatPosition, type Position, parsePosition } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import { deadLetterTopicOf } from '../../model/topic-name.ts';
import type { ReadableMirror } from '../readable-mirror.ts';
import { letterPlaceAt } from './letters.ts';

/** More dead letters than this are not told from lost records. */
const MOST = 200_000;

const NONE: DeadLetters = { has: () => false };

/** Which records of a source topic lie in its dead-letter topic. */
export async function readDeadLetters(
  { spec, source, target, readsTarget }: ReadableMirror,
  topic: string,
  group: string,
  deps: ReadDeps,
): Promise<DeadLetters> {
  if (spec.onBadRecord !== 'dead-letter') return NONE;
  const letterTopic = deadLetterTopicOf(spec, topic);
  const described = await target.admin.describeTopic(letterTopic);
  const places = new Set<string>();
  const visitor = {
    records: (batch: RecordBatch, first: number, end: number): void => {
      for (let i = first; i < end && places.size < MOST; i++) {
        const letter = letterPlaceAt(batch, i, { cluster: source.name, topic });
        const position = parsePosition(letter?.position ?? '');
        if (letter !== undefined && position !== undefined) places.add(placeKey(letter.lane, position, letter.isEntry));
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
  return {
    has: ({ lane }, position) => places.has(placeKey(lane, position, false)) || places.has(placeKey(lane, position, true)),
  };
}

function placeKey(lane: string, position: Position, isEntry: boolean): string {
  return `${lane} ${isEntry ? `${position.major}:${position.minor} whole` : formatPosition(recordPlace(position))}`;
}
