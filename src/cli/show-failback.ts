import type { FailbackAnswer, FailbackListingAnswer } from './answers.ts';
import { printable, table } from './io.ts';

/** So many rows of what can be long; --json has more. */
const ROWS = 20;

export function failbackLine({ phase, topic, read, reviewed }: FailbackAnswer): string {
  const at = topic === '' ? '' : ` ${printable(topic)}`;
  if (phase === 'listing') return `listing${at}: ${read} records so far`;
  if (phase === 'reviewing') return `reviewing${at}: ${reviewed} records written`;
  return `${phase}${at}`;
}

export function showFailback(answer: FailbackAnswer): string {
  const { listing, next } = answer;
  return [
    verdict(answer),
    ...(listing === null || answer.state === 'done' ? [] : showListing(answer, listing)),
    ...(next.length === 0 ? [] : ['', ...next.map((step) => printable(`- ${step}`))]),
  ].join('\n');
}

function verdict({ state, policy, listing, reviewed, reviewTopic, resumed, trouble, from, to }: FailbackAnswer): string {
  const records = listing?.records ?? 0;
  if (state === 'failed') return `it ended: ${trouble?.code ?? ''}: ${printable(trouble?.message ?? '')}`;
  if (state === 'cancelled') return 'cancelled; what was done stays';
  if (state === 'running') return 'it runs';
  if (state === 'listed') return `${from} has ${records.toLocaleString('en-US')} records that ${to} has not`;
  const what =
    policy === 'append'
      ? `${records} records come behind what ${to} has`
      : policy === 'drop'
        ? `${records} records stay in ${from} alone`
        : `${reviewed} records were written to ${printable(reviewTopic ?? '')}`;
  return `${what}; ${resumed.length} mirrors run again`;
}

function showListing({ from, to }: FailbackAnswer, listing: FailbackListingAnswer): string[] {
  const { lanes, keyList, conflicts, keys, unkeyed, untracked, listed, records, notes } = listing;
  const laneRows = lanes
    .filter((lane) => lane.records > 0)
    .map((lane) => [lane.mirror, lane.topic, lane.lane, lane.from, lane.end, lane.records, lane.stored, lane.fromTarget]);
  const keyRows = keyList
    .filter(({ onTarget }) => onTarget > 0)
    .map((key) => [key.topic, key.key, key.records, key.newest, key.onTarget, key.newestOnTarget]);
  const recordRows = listed.map(({ topic, lane, position, time, key }) => [topic, lane, position, time, key]);
  return [
    ...part(['MIRROR', 'TOPIC', 'LANE', 'FROM', 'UP TO', 'RECORDS', `IN ${to}`, `FROM ${to}`], laneRows),
    '',
    `${conflicts} of ${keys} keys were written on both sides since ${listing.since}; ${unkeyed} records have no key${untracked === 0 ? '' : `, and the keys of ${untracked} were too many to be compared`}`,
    ...part(['TOPIC', 'KEY', `IN ${from}`, 'NEWEST', `IN ${to}`, 'NEWEST'], keyRows, conflicts),
    ...part(['TOPIC', 'LANE', 'POSITION', 'TIME', 'KEY'], recordRows, records),
    ...(notes.length === 0 ? [] : ['', ...notes.map(printable)]),
  ];
}

function part(heads: readonly string[], rows: readonly (readonly (string | number | null)[])[], all = rows.length): string[] {
  if (rows.length === 0) return [];
  const shown = rows.slice(0, ROWS);
  return ['', table(heads, shown), ...(shown.length < all ? [`... ${shown.length} of ${all}; --json has more`] : [])];
}
