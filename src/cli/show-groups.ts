import type {
  GroupAnswer,
  GroupPlaceAnswer,
  GroupsAppliedAnswer,
  LinkGroupsAnswer,
  PlacedAnswer,
  PositionAnswer,
} from './answers.ts';
import { printable, table } from './io.ts';

/** What a place says, in a word or two. */
export function placeKind(kind: string, rereads: number | null): string {
  if (kind !== 'floor') return kind;
  return rereads === null ? 'floor' : `floor +${rereads.toLocaleString('en-US')}`;
}

/** As `placeKind`, of a number that more may come to. */
export function placedKind({ kind, rereads, atLeast }: PlacedAnswer): string {
  const more = kind === 'exact' ? ' as last seen' : ' or more';
  return `${placeKind(kind, rereads)}${atLeast && rereads !== null ? more : ''}`;
}

export function ageOf(time: string | null, now: number): string {
  if (time === null) return 'never';
  const seconds = Math.max(0, (now - Date.parse(time)) / 1_000);
  if (seconds < 120) return `${seconds.toFixed(1)} s ago`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3_600)} h ago`;
}

const HEADS = ['GROUP', 'TOPIC', 'STATE', 'PLACE', 'AGAIN', 'TO COME', 'SYNCED'];

export function showGroups(answer: LinkGroupsAnswer, now: number): string {
  const { link, apply, groups, trouble } = answer;
  const rows = groups.flatMap(({ group, topics }) =>
    topics.map((topic) => [group, topic.topic, topic.state, topic.kind, topic.rereads, topic.ahead, ageOf(topic.syncedAt, now)]),
  );
  const head =
    apply === 'off'
      ? `the link ${link} has no \`groups\`: progress is not mirrored; --sync shows once where groups would go on`
      : `${groups.length} groups of the link ${link}, ${apply === 'never' ? 'places are only shown' : 'applied while idle on the target'}`;
  const reasons = groups.flatMap(({ group, topics }) =>
    topics.flatMap(({ topic, places, behindBecause }) => [
      ...new Set(
        [...places.map(({ reason }) => reason), behindBecause]
          .filter((reason) => reason !== null)
          .map((reason) => printable(`${group} on ${topic}: ${reason}`)),
      ),
    ]),
  );
  return [
    head,
    ...(trouble === null ? [] : [printable(`${trouble.code} since ${trouble.since}: ${trouble.message}`)]),
    ...(rows.length === 0 ? [] : ['', table(HEADS, rows)]),
    ...(reasons.length === 0 ? [] : ['', ...reasons]),
  ].join('\n');
}

export function showGroup({ group, targetGroup, topics }: GroupAnswer, now: number): string {
  const parts = topics.map((topic) => {
    const source = Object.entries(topic.source).map(([lane, next]) => `${lane} at ${next}`);
    const holes = topic.sourceHoles === 0 ? '' : `, and ${topic.sourceHoles} stretches beyond`;
    return [
      `${topic.topic} -> ${topic.targetTopic} (${topic.mirror}): ${topic.state}, ${placeKind(topic.kind, topic.rereads)}, synced ${ageOf(topic.syncedAt, now)}`,
      `  at the source: ${printable(source.join(', ') || 'no place')}${holes}`,
      ...(topic.behindBecause === null ? [] : [`  behind, because ${printable(topic.behindBecause)}`]),
      showPlaces(topic.places).replace(/^/gm, '  '),
    ].join('\n');
  });
  const name = targetGroup === group ? group : `${group}, on the target ${targetGroup}`;
  return [printable(name), ...parts].join('\n\n');
}

export function showApplied({ link, force, dryRun, trouble, groups }: GroupsAppliedAnswer): string {
  const rows = groups.flatMap(({ group, targetGroup, topics }) =>
    topics.flatMap(({ targetTopic, places }) =>
      places.map(({ lane, was, next, kind, rereads, outcome, reason }) => [
        targetGroup === group ? group : `${group} as ${targetGroup}`,
        `${targetTopic} ${lane}`,
        was,
        next,
        kind,
        rereads,
        outcome,
        reason,
      ]),
    ),
  );
  const how = force ? ' by force, also where consumers are connected, and also backwards' : '';
  return [
    `groups of the link ${link}${dryRun ? ` would be moved${how}; nothing was changed` : `, moved${how}`}`,
    ...(trouble === null ? [] : [printable(`${trouble.code}: ${trouble.message}`)]),
    '',
    rows.length === 0 ? 'no groups' : table(['GROUP', 'LANE', 'WAS', 'NEXT', 'PLACE', 'AGAIN', 'OUTCOME', 'REASON'], rows),
  ].join('\n');
}

export function showPosition({ mirror, targetTopic, kind, ahead, places }: PositionAnswer): string {
  const coming = ahead === 0 ? '' : `; ${ahead?.toLocaleString('en-US') ?? 'some'} records before it are still to come`;
  return `${printable(targetTopic)} (${mirror}): ${kind}${coming}\n\n${showPlaces(places)}`;
}

function showPlaces(places: readonly GroupPlaceAnswer[]): string {
  if (places.length === 0) return 'no places';
  return table(
    ['LANE', 'NEXT', 'PLACE', 'AGAIN', 'DONE', 'REASON'],
    places.map(({ lane, next, kind, rereads, outcome, reason }) => [lane, next, kind, rereads, outcome, reason]),
  );
}
