import { IsthmusError } from '../../errors.ts';
import type { GroupTopicStatus } from '../groups/api.ts';
import type { PassReport } from '../groups/link-groups.ts';
import { total } from '../status.ts';
import type {
  FailoverCertificate,
  FailoverKind,
  FailoverPlan,
  FailoverStatus,
  FailoverStep,
  GroupOutcome,
  Placed,
} from './api.ts';
import { drain, untilStored } from './drain.ts';
import { runHooks } from './hooks.ts';
import { type FailoverHost, LOOK_MILLIS } from './host.ts';

/** Places that are not known because the mirrors lag have so long to become known. */
const PLACES_MILLIS = 60_000;
/** Groups have so long to be where they belong after all is drained. */
const SYNC_MILLIS = 60_000;
/** Places that have not changed for so long are the last ones. */
const SETTLED_MILLIS = 4_000;
/** Where consumers go on at the source they never are. */
const SETTLING_MILLIS = 15_000;
/** The mirrors have so long to get what the source had when the certificate was made. */
const STORED_MILLIS = 30_000;

/** Where a failover stands, while it runs. Every step may be begun again after a crash: none does harm twice. */
export interface RunState {
  readonly status: FailoverStatus;
  readonly drainMillis: number;
}

export interface StepResult {
  readonly detail: string;
  readonly certificate?: FailoverCertificate;
  /** In place of the one that it was begun with. */
  readonly plan?: FailoverPlan;
}

/** Does one step. `tell` takes what it does now. Rejects with what keeps it from ending. */
export async function runStep(
  host: FailoverHost,
  step: FailoverStep,
  { status, drainMillis }: RunState,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<StepResult> {
  const { link } = host.ends;
  const context = { link: link.name, kind: status.kind, failover: status.id };
  switch (step) {
    case 'places':
      return await knowPlaces(host, status, tell, signal);
    case 'fence':
      return { detail: await runHooks(link.failover?.fence ?? [], { ...context, step: 'fence' }, host.runHook, signal) };
    case 'drain':
      return { detail: await drain(host, status.kind === 'planned', drainMillis, tell, signal) };
    case 'sync':
      return { detail: await syncGroups(host, status, tell, signal) };
    case 'release':
      return await release(host, status, signal);
  }
}

/** Waits until every group has a place. Nothing has been changed by then. */
async function knowPlaces(
  host: FailoverHost,
  { kind }: FailoverStatus,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<StepResult> {
  const { clock } = host;
  const deadline = clock.monotonic() + PLACES_MILLIS;
  while (true) {
    if (signal.aborted) throw new IsthmusError('CLOSED', 'waiting for places: it was called off');
    const plan = await host.plan(kind);
    const open = [...plan.blockers, ...plan.pending];
    if (open.length === 0) return { detail: 'every group has a place', plan };
    tell(`not known yet: ${open.join('; ')}`);
    if (clock.monotonic() > deadline)
      throw new IsthmusError(
        'CONFLICT',
        `waiting for places: after ${PLACES_MILLIS / 1_000} s ${open.join('; ')}. Mend that, or force it`,
      );
    await clock.sleep(LOOK_MILLIS, signal);
  }
}

/** Moves the groups to their last places, until all are there and nothing of what they have done is still to come. */
async function syncGroups(
  host: FailoverHost,
  status: FailoverStatus,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { clock, sync } = host;
  const planned = status.kind === 'planned';
  const deadline = clock.monotonic() + SYNC_MILLIS;
  const begun = clock.monotonic();
  let [counted, since] = ['', begun];
  while (true) {
    if (signal.aborted) throw new IsthmusError('CLOSED', 'moving the groups: it was called off');
    const { groups } = await sync.pass({ apply: true, orKept: !planned });
    // What is in use on the target goes on there where it is: nothing that it has done at the source, or will, moves it.
    const open = groups.filter(
      ({ state, topics }) =>
        state === 'waiting' || (planned && topics.some((topic) => topic.state !== 'active' && (topic.ahead ?? 0) > 0)),
    );
    const moved = groups.flatMap(({ topics }) => topics.filter(({ state }) => state !== 'active'));
    const text = JSON.stringify(moved.map(({ rereads, ahead }) => [rereads, ahead]));
    if (text !== counted) [counted, since] = [text, clock.monotonic()];
    // How far the mirror back has come, and what was stored last, is known a little later: until then places lie lower than they need to.
    const isLast = moved.every(({ rereads, ahead }) => (planned ? rereads : ahead) === 0);
    const settled = isLast || clock.monotonic() - since >= SETTLED_MILLIS || clock.monotonic() - begun >= SETTLING_MILLIS;
    if (open.length === 0 && settled) return `${groups.length} groups are in place`;
    const [first] = open;
    tell(
      open.length > 0
        ? `${open.length} of ${groups.length} groups are not in place yet`
        : 'all groups are in place; waiting whether they come further',
    );
    if (clock.monotonic() > deadline) {
      if (first === undefined) return `${groups.length} groups are in place`;
      const why = first.topics.flatMap(({ places }) => places).find(({ reason }) => reason !== null)?.reason;
      // What is unknown stays so: it was in the plan, and whoever has begun has taken it on.
      if (!planned || open.every(({ kind }) => kind === 'unknown'))
        return `${groups.length - open.length} groups are in place, ${open.length} are not: ${open.map(({ group }) => group).join(', ')}`;
      throw new IsthmusError(
        'CONFLICT',
        `moving the groups: ${first.group} is not in place after ${SYNC_MILLIS / 1_000} s${why === undefined || why === null ? '' : `: ${why}`}`,
      );
    }
    await clock.sleep(LOOK_MILLIS, signal);
  }
}

/** Lets the target be used, and says what it has come to. */
async function release(host: FailoverHost, status: FailoverStatus, signal: AbortSignal): Promise<StepResult> {
  const { clock, sync, ends } = host;
  const planned = status.kind === 'planned';
  const report = await sync.pass({ apply: true, orKept: !planned });
  // What the mirror back brings keeps the checkpoints a little behind; of a source that is lost nothing comes any more.
  const lanes = await untilStored(host, report.sourceEnds, planned ? STORED_MILLIS : 0, signal);
  const paused: string[] = [];
  if (!planned) {
    for (const { link, spec } of host.mirrors()) {
      await host.pause({ link, mirror: spec.name });
      paused.push(spec.name);
    }
  }
  const context = { link: ends.link.name, kind: status.kind, failover: status.id, step: 'release' as const };
  const detail = await runHooks(ends.link.failover?.release ?? [], context, host.runHook, signal);
  const now = clock.now();
  return {
    detail,
    certificate: {
      kind: status.kind,
      startedAt: status.steps[0]?.startedAt ?? now,
      endedAt: now,
      groups: outcomes(status.plan, report),
      // Of a source that does not answer nobody knows what it got after it was last asked.
      recordsLeftBehind: report.sourceAway === undefined ? total(lanes.map(({ records }) => records)) : null,
      leftBehind: lanes,
      unseenMillis: report.sourceAway === undefined ? 0 : Math.max(0, now - report.sourceAt),
      pausedMirrors: paused,
    },
  };
}

/** Never fewer than happen: where more may be read again than can be counted, that is said. */
function placed(kind: FailoverKind, sourceAway: boolean, topic: GroupTopicStatus): Placed {
  const { ahead, members, kind: place, rereads } = topic;
  // Of a planned one whoever is still connected at the source is moved once more; of an unplanned one nobody may ask them to stop.
  const goesOn = kind === 'unplanned' && members !== null && members > 0;
  return { kind: place, rereads, atLeast: sourceAway || ahead !== 0 || goesOn };
}

function outcomes(plan: FailoverPlan, { groups, sourceAway }: Pick<PassReport, 'groups' | 'sourceAway'>): GroupOutcome[] {
  const planned = new Map(
    plan.groups.flatMap(({ group, topics }) =>
      topics.map((topic) => [JSON.stringify([group, topic.mirror, topic.topic]), topic] as const),
    ),
  );
  return groups.flatMap(({ group, targetGroup, topics }) =>
    topics.map((topic) => {
      const before = planned.get(JSON.stringify([group, topic.mirror, topic.topic]));
      return {
        group,
        targetGroup,
        topic: topic.topic,
        targetTopic: topic.targetTopic,
        predicted: before === undefined ? null : placed(plan.kind, plan.sourceAway !== null, before),
        actual: placed(plan.kind, sourceAway !== undefined, topic),
        state: topic.state,
      };
    }),
  );
}
