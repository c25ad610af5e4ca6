import type { DifferenceAnswer, VerificationAnswer } from './answers.ts';
import { printable, table } from './io.ts';

const KINDS = ['missing', 'doubled', 'changed', 'reordered', 'unexpected'] as const;
const MAX_SHOWN_MINUTES = 20;
const MAX_SHOWN = 50;

const number = (value: number): string => value.toLocaleString('en-US');

/** One line that says how far a comparison is. */
export function progressLine({ phase, progress, counts, topics }: VerificationAnswer): string {
  const of = progress.sourceTotal === null ? '' : ` of ${number(progress.sourceTotal)}`;
  const found = KINDS.filter((kind) => counts[kind] > 0).map((kind) => `${number(counts[kind])} ${kind}`);
  const parts = [
    `${phase.replace('-', ' ')} ${printable(progress.topic)} (${progress.topicsDone}/${topics.length} topics)`,
    `source ${number(progress.sourceRecords)}${of}`,
    `target ${number(progress.targetRecords)}`,
    progress.unequalBlocks === 0 ? '' : `${number(progress.unequalBlocks)} of ${number(progress.blocks)} blocks differ`,
    found.join(', '),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function verdict({ state, counts, mayHaveExpired, progress, trouble, topics }: VerificationAnswer): string {
  const read = `${number(progress.sourceRecords)} records of ${topics.length} topics in the source, ${number(progress.targetRecords)} in the target`;
  if (state === 'failed') return `could not be compared: ${trouble?.code ?? ''}: ${printable(trouble?.message ?? '')}`;
  if (state === 'cancelled') return `cancelled; read until then: ${read}`;
  if (state === 'equal') return `source and target hold the same: ${read}`;
  const found = KINDS.slice(0, 4)
    .filter((kind) => counts[kind] > 0)
    .map((kind) => `${number(counts[kind])} ${kind}`);
  const expired = mayHaveExpired === 0 ? '' : ` (${number(mayHaveExpired)} of the missing ones may have been there and expired)`;
  return `source and target differ: ${found.join(', ')}${expired}; read: ${read}`;
}

function differenceRow({ kind, topic, lane, position, time, target, behind, mayHaveExpired }: DifferenceAnswer): string[] {
  const places = target.map((place) => `${place.lane} ${place.position}`).join(', ');
  const remark = behind === null ? (mayHaveExpired ? 'may have expired' : '') : `behind ${behind}`;
  return [kind, `${topic} ${lane}`, position, time ?? '-', places === '' ? '-' : places, remark];
}

/** The outcome of a comparison. */
export function showVerification(answer: VerificationAnswer): string {
  const { differences, minutes, absences, repaired, notes } = answer;
  const parts = [verdict(answer)];
  if (repaired !== null)
    parts.push(
      `repaired: ${number(repaired.stored)} sent, ${number(repaired.found)} found in the target after all, ${number(repaired.left)} left`,
    );
  const reasons = Object.entries(absences).map(([reason, records]) => `${number(records)} ${reason}`);
  if (reasons.length > 0) parts.push(`left out as they should be: ${reasons.join(', ')}`);
  if (minutes.length > 0) {
    const rows = minutes
      .slice(0, MAX_SHOWN_MINUTES)
      .map(({ minute, counts }) => [minute.slice(0, 16), ...KINDS.map((kind) => counts[kind])]);
    const rest = minutes.length > MAX_SHOWN_MINUTES ? `\n... ${minutes.length - MAX_SHOWN_MINUTES} more minutes` : '';
    parts.push(table(['STORED AT', ...KINDS.map((kind) => kind.toUpperCase())], rows) + rest);
  }
  if (differences.length > 0) {
    const heads = ['WHAT', 'LANE', 'POSITION', 'STORED AT', 'IN THE TARGET', ''];
    const all = KINDS.reduce((sum, kind) => sum + answer.counts[kind], 0);
    const rest =
      all > Math.min(MAX_SHOWN, differences.length)
        ? `\n... ${number(all - Math.min(MAX_SHOWN, differences.length))} more; --json lists up to 250 of each kind`
        : '';
    parts.push(table(heads, differences.slice(0, MAX_SHOWN).map(differenceRow)) + rest);
  }
  parts.push(...notes.map((note) => `note: ${printable(note)}`));
  return parts.join('\n\n');
}
