import type { FailoverAnswer, FailoverPlanAnswer, LaneRiskAnswer } from './answers.ts';
import { printable, table } from './io.ts';
import { placedKind } from './show-groups.ts';

/** What a running failover does now, in a line. */
export function failoverLine({ state, step, steps }: FailoverAnswer): string {
  const detail = steps.find((each) => each.step === step)?.detail ?? '';
  return printable(`${state === 'running' ? step : `${step}: ${state}`}${detail === '' ? '' : `: ${detail}`}`);
}

export function showPlan(plan: FailoverPlanAnswer): string {
  const { link, from, to, kind, groups, atRisk, blockers, pending, warnings, sourceAway, sourceAt } = plan;
  const rows = groups.flatMap(({ group, targetGroup, topics }) =>
    topics.flatMap((topic) =>
      topic.places.map((place) => [
        group,
        targetGroup === group ? '' : targetGroup,
        `${topic.targetTopic} ${place.lane}`,
        place.next,
        place.kind,
        place.rereads,
      ]),
    ),
  );
  return [
    `${kind} failover of ${link}: from ${from} to ${to}. Nothing was changed.`,
    ...(sourceAway === null ? [] : [printable(`${from} does not answer (${sourceAway}); it was last seen ${sourceAt}`)]),
    '',
    rows.length === 0 ? 'no groups' : table(['GROUP', 'ON THE TARGET', 'LANE', 'NEXT', 'PLACE', 'AGAIN'], rows),
    ...riskLines('the target does not have yet', atRisk),
    ...listed('Blockers', blockers),
    ...listed('Not known yet, start waits for it', pending),
    ...listed('Warnings', warnings),
  ].join('\n');
}

export function showFailover(answer: FailoverAnswer): string {
  const { id, link, kind, state, steps, certificate, trouble } = answer;
  const rows = steps.map(({ step, startedAt, endedAt, detail }) => [step, startedAt, endedAt ?? '...', detail]);
  return [
    `${kind} failover of ${link} (${id}): ${state}`,
    '',
    table(['STEP', 'BEGAN', 'ENDED', ''], rows),
    ...(trouble === null ? [] : ['', printable(`${trouble.code}: ${trouble.message}`)]),
    ...(certificate === null ? [] : ['', ...certificateLines(certificate)]),
  ].join('\n');
}

function certificateLines(certificate: NonNullable<FailoverAnswer['certificate']>): string[] {
  const { groups, recordsLeftBehind, leftBehind, unseenSeconds, pausedMirrors } = certificate;
  const rows = groups.map(({ group, targetGroup, targetTopic, predicted, actual, state }) => [
    targetGroup === group ? group : `${group} as ${targetGroup}`,
    targetTopic,
    predicted === null ? null : placedKind(predicted),
    placedKind(actual),
    state,
  ]);
  const left = recordsLeftBehind === null ? 'an unknown number of' : recordsLeftBehind.toLocaleString('en-US');
  return [
    'Certificate',
    rows.length === 0 ? 'no groups' : table(['GROUP', 'TOPIC', 'PREDICTED', 'ACTUAL', 'STATE'], rows),
    '',
    `records left behind: ${left}${unseenSeconds === 0 ? '' : `; the source was last seen ${unseenSeconds} s before the end`}`,
    ...(pausedMirrors.length === 0
      ? []
      : [`paused, so that what the lost side still has does not come unasked: ${pausedMirrors.join(', ')}`]),
    ...riskLines('left behind', leftBehind),
  ];
}

function riskLines(what: string, lanes: readonly LaneRiskAnswer[]): string[] {
  if (lanes.length === 0) return [];
  const rows = lanes.map(({ mirror, topic, lane, next, end, records }) => [mirror, `${topic} ${lane}`, next, end, records]);
  return ['', `What ${what}:`, table(['MIRROR', 'LANE', 'NEXT', 'END', 'RECORDS'], rows)];
}

function listed(head: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : ['', `${head}:`, ...texts.map((text) => `  - ${printable(text)}`)];
}
