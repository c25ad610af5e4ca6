/** What several drills do: fail over, judge the groups that moved, judge what is stored on both sides. */
import type { StoredRow } from '../../test/checkers/row.ts';
import type { MemberRow } from '../../test/kit/members.ts';
import { type Failover, type FailoverAsk, type Plan, planFailover, runFailover } from './failover.ts';
import { isFrom, judgeFlow, judgeGroup, type Written } from './judge.ts';
import { atMost, type Check, equals } from './outcome.ts';
import { type Consumer, calm, type Stage, startConsumer, waitFor } from './stage.ts';

const settleLimitMillis = 120_000;
const quietMillis = 3_000;

export type Moved = {
  readonly plan: Plan;
  readonly failover: Failover;
  readonly consumers: readonly Consumer[];
  /** When its first step began, or the fault came; milliseconds since 1970. */
  readonly from: number;
};

/**
 * Fails over from the source to the target, with the runbook's steps: plan, fence, watch, certificate. The hooks stop the applications at the source and
 * start them on the target.
 */
export async function failOver(stage: Stage, kind: 'planned' | 'unplanned', faultAt?: number): Promise<Moved> {
  const { api, plan: names, signal, note, applications, canaries, atSource, sides } = stage;
  const consumers: Consumer[] = [];
  applications.fence = async () => {
    const stopped = canaries.source.stop();
    if (kind === 'planned') {
      // What is on its way to a source that is gone would end only when its client gives up.
      await stopped;
      // So that what a group reads again is what it has done at the source alone.
      await canaries.target.pause();
    }
    await Promise.all(atSource.map(async ({ stop }) => await stop()));
  };
  applications.release = async () => {
    const started = names.groups.map(
      async (group, i) => await startConsumer(stage, 'target', group, sides.target.kinds[i] ?? ''),
    );
    consumers.push(...(await Promise.all(started)));
    canaries.target.goOn();
  };
  const ask: FailoverAsk = { api, link: names.links.forth, kind, signal, tell: (text) => note(text) };
  note(`isthmus failover plan ${names.links.forth}${kind === 'planned' ? '' : ' --unplanned'}`, 'step');
  const plan = await planFailover(ask);
  for (const warning of plan.warnings) note(`warning: ${warning}`);
  for (const { group, kind: place, rereads } of plan.groups)
    note(`${group}: ${place}, ${rereads ?? '?'} records to be read again`);
  note(`isthmus failover start ${names.links.forth}${kind === 'planned' ? '' : ' --unplanned'}`, 'step');
  const from = faultAt ?? Date.now();
  const failover = await runFailover(ask);
  stage.failover = failover;
  stage.checks.push({
    name: `the ${kind} failover`,
    expected: 'done',
    measured: failover.state,
    passed: failover.state === 'done',
    detail: failover.trouble === null ? [] : [failover.trouble.message],
  });
  if (failover.state !== 'done') throw new Error(`The failover ended as ${failover.state}: ${failover.trouble?.message ?? ''}`);
  await calm(stage, stage.pace.calmMillis);
  return { plan, failover, consumers, from };
}

/** Everything in the topic at the source, and on the target. */
export type Stored = { readonly home: readonly StoredRow[]; readonly away: readonly StoredRow[] };

/** Stops what still writes, and waits until both sides hold the same, and the consumers on the target have it. */
export async function settle(stage: Stage, consumers: readonly Consumer[], leftOut = 0): Promise<Stored> {
  const { canaries, sides, plan, note } = stage;
  note('The load stops; both sides come to rest, and the official clients read them', 'step');
  await Promise.all([canaries.source.stop(), canaries.target.stop()]);
  let [home, away]: (readonly StoredRow[])[] = [[], []];
  await waitFor(stage, 'each side holds as much as the other', settleLimitMillis, async () => {
    [home, away] = [await sides.source.read(plan.topic), await sides.target.read(plan.topic)];
    return distinct(home) === distinct(away) + leftOut;
  }).catch((error: unknown) => {
    if (stage.signal.aborted) throw error;
    // The checks say what is missing where.
    note(error instanceof Error ? error.message : String(error));
  });
  await untilQuiet(stage, consumers);
  return { home: home ?? [], away: away ?? [] };
}

function distinct(rows: readonly StoredRow[]): number {
  return new Set(rows.map(({ id }) => id)).size;
}

async function untilQuiet(stage: Stage, consumers: readonly Consumer[]): Promise<void> {
  const all = [...consumers, stage.watcher];
  let [last, since] = [-1, performance.now()];
  await waitFor(stage, 'the consumers have got everything', settleLimitMillis, async () => {
    const got = (await Promise.all(all.map(async ({ received }) => await received()))).reduce((sum, count) => sum + count, 0);
    if (got !== last) [last, since] = [got, performance.now()];
    return performance.now() - since > quietMillis;
  });
}

/** Everything both canaries wrote, in both directions. `leftOut`: ids that the mirror was to leave out. */
export function checkFlows({ canaries }: Stage, { home, away }: Stored, leftOut: ReadonlySet<string> = new Set()): Check[] {
  return [
    ...judgeFlow({ writer: 'source', written: canaries.source, home, away, leftOut }),
    ...judgeFlow({ writer: 'target', written: canaries.target, home: away, away: home }),
  ];
}

const firstRecordLimitSeconds = 60;

/** The groups that moved: what each was to read again, and did. */
export async function checkGroups(
  stage: Stage,
  { plan, failover, consumers, from }: Moved,
  away: readonly StoredRow[],
  unplanned = false,
): Promise<void> {
  const inTarget = new Set(away.flatMap(({ id }) => (id === null ? [] : [id])));
  for (const consumer of consumers) {
    const before = stage.atSource.find(({ group }) => group === consumer.group);
    const outcome = failover.certificate?.groups.find(({ group }) => group === consumer.group);
    const topic = plan.groups.find(({ group }) => group === consumer.group)?.topics[0];
    const { result, checks } = judgeGroup({
      group: consumer.group,
      consumers: `${before?.kind ?? ''} to ${consumer.kind}`,
      placeKind: outcome?.actual.kind ?? 'none',
      rereads: outcome?.actual.rereads ?? null,
      ...(unplanned ? { lastKnown: topic?.source ?? {} } : {}),
      atSource: (await before?.stop()) ?? [],
      atTarget: await consumer.stop(),
      inTarget,
      clockFrom: from,
    });
    stage.groups.push(result);
    stage.checks.push(...checks);
    const seconds = result.firstAfterMillis === null ? null : result.firstAfterMillis / 1_000;
    stage.checks.push(atMost(`${consumer.group}: until its first record on the target`, firstRecordLimitSeconds, seconds, 's'));
  }
}

/** The end of most drills: after the fault has passed, a planned failover has to lose nothing and read nothing again. */
export async function failOverAndJudge(stage: Stage, leftOut?: ReadonlySet<string>): Promise<void> {
  const moved = await failOver(stage, 'planned');
  const stored = await settle(stage, moved.consumers, leftOut?.size);
  stage.checks.push(...checkFlows(stage, stored, leftOut));
  await checkGroups(stage, moved, stored.away);
  const again = stage.groups.reduce((sum, { readAgain }) => sum + readAgain, 0);
  stage.checks.push(equals('records read again in the planned failover', 0, again));
}

/** What of the source's canary the target's consumer got, for times. */
export async function watched(stage: Stage): Promise<readonly MemberRow[]> {
  return (await stage.watcher.stop()).filter(({ id }) => isFrom('source', id));
}

/** Acknowledged records of the source that the target has not. */
export function missingOf(written: Written, away: readonly StoredRow[]): readonly string[] {
  const there = new Set(away.map(({ id }) => id));
  return [...written.acknowledged.keys()].filter((id) => !there.has(id));
}
