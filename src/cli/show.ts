import type { LaneAnswer, MirrorAnswer, TroubleAnswer } from './answers.ts';
import { printable, table } from './io.ts';

function seconds(value: number | null): string | null {
  if (value === null) return null;
  if (value < 120) return `${Math.round(value * 10) / 10} s`;
  return value < 7_200 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3_600)} h`;
}

/** Troubles stand below the table: their texts are longer than columns. */
function troubles(rows: readonly { readonly where: string; readonly trouble: TroubleAnswer | null }[]): string[] {
  return rows.flatMap(({ where, trouble }) =>
    trouble === null ? [] : [`${printable(where)}: ${trouble.code} since ${trouble.since}: ${printable(trouble.message)}`],
  );
}

const paragraphs = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join('\n\n');

export function showMirrors(mirrors: readonly MirrorAnswer[]): string {
  if (mirrors.length === 0) return 'there are no mirrors; add one with `isthmus mirrors add`';
  const rows = mirrors.map(({ link, name, from, to, state, definedBy, matchedTopics, lanes, lagRecords, lagSeconds }) => [
    `${link}/${name}`,
    `${from} -> ${to}`,
    state,
    definedBy,
    matchedTopics.length,
    `${lanes.running}/${lanes.total}`,
    lagRecords,
    seconds(lagSeconds),
  ]);
  const list = troubles(mirrors.map(({ link, name, trouble }) => ({ where: `${link}/${name}`, trouble })));
  return paragraphs(table(['MIRROR', 'FROM -> TO', 'STATE', 'BY', 'TOPICS', 'LANES', 'LAG', 'BEHIND'], rows), list.join('\n'));
}

export function showLanes(lanes: readonly (LaneAnswer & { readonly mirror: string })[]): string {
  if (lanes.length === 0) return 'there are no lanes now';
  const rows = lanes.map((lane) => [
    lane.mirror,
    `${lane.topic} ${lane.lane}`,
    lane.targetPartitions.length === 0 ? lane.targetTopic : `${lane.targetTopic} ${lane.targetPartitions.join(',')}`,
    lane.state,
    lane.next,
    lane.source?.end,
    lane.lagRecords,
    seconds(lane.lagSeconds),
    lane.recordsStored,
    lane.recordsDropped,
    lane.deadLetters,
    lane.gaps.length,
  ]);
  const gaps = lanes.flatMap(({ mirror, topic, lane, gaps: list }) =>
    list.map(({ from, to, reason }) =>
      printable(`${mirror} ${topic} ${lane}: gap from ${from} to ${to} (${reason}): the source had these records no more`),
    ),
  );
  const list = troubles(lanes.map(({ mirror, topic, lane, trouble }) => ({ where: `${mirror} ${topic} ${lane}`, trouble })));
  const heads = ['MIRROR', 'LANE', 'TARGET', 'STATE', 'NEXT', 'END', 'LAG', 'BEHIND', 'STORED', 'DROPPED', 'DEAD', 'GAPS'];
  return paragraphs(table(heads, rows), [...list, ...gaps].join('\n'));
}
