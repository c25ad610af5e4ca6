import { IsthmusError } from '../../errors.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Checkpoint, MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorStatus } from '../api.ts';
import type { Ends } from '../clusters.ts';
import type { GroupStatus } from '../groups/api.ts';
import type { LinkGroupSync, SourceEnds } from '../groups/link-groups.ts';
import { total } from '../status.ts';
import type { FailoverCertificate, FailoverPlan, FailoverStatus, FailoverStep, GroupOutcome } from './api.ts';
import { type RunHook, runHooks } from './hooks.ts';
import { lanesAtRisk } from './plan.ts';

const LOOK_MILLIS = 500;
/** A source that has not grown for so long counts as fenced. */
const STILL_MILLIS = 2_000;
/** Groups have so long to be where they belong after all is drained. */
const SYNC_MILLIS = 60_000;

/** What a failover works with. */
export interface FailoverHost {
  readonly ends: Ends;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly sync: LinkGroupSync;
  readonly runHook: RunHook;
  readonly mirrors: () => readonly MirrorStatus[];
  readonly pause: (key: MirrorKey) => Promise<unknown>;
}

/** The checkpoints of all mirrors of the link, by mirror. */
export async function checkpointsOf(host: Pick<FailoverHost, 'mirrors' | 'store'>): Promise<Map<string, readonly Checkpoint[]>> {
  const all = new Map<string, readonly Checkpoint[]>();
  for (const { link, spec } of host.mirrors()) all.set(spec.name, await host.store.loadCheckpoints({ link, mirror: spec.name }));
  return all;
}

/** Where a failover stands, while it runs. Every step may be begun again after a crash: none does harm twice. */
export interface RunState {
  readonly status: FailoverStatus;
  readonly drainMillis: number;
}

export interface StepResult {
  readonly detail: string;
  readonly certificate?: FailoverCertificate;
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

/** Waits until the target has what the source gives. */
async function drain(
  host: FailoverHost,
  planned: boolean,
  limitMillis: number,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { clock } = host;
  const deadline = clock.monotonic() + limitMillis;
  let [seen, since] = ['', clock.monotonic()];
  while (true) {
    if (signal.aborted) throw new IsthmusError('CLOSED', 'draining: it was called off');
    const ends = await sourceEnds(host);
    if (ends === undefined) {
      if (!planned) return 'the source does not answer: what it has beyond the checkpoints stays behind';
      throw new IsthmusError(
        'CONNECT_FAILED',
        'draining: the source does not answer any more; begin an unplanned failover if it is lost',
      );
    }
    const lanes = lanesAtRisk(ends, await checkpointsOf(host));
    const text = JSON.stringify(lanes.map(({ end }) => end));
    if (text !== seen) [seen, since] = [text, clock.monotonic()];
    const behind = lanes.filter(({ records }) => records !== 0);
    const still = clock.monotonic() - since >= STILL_MILLIS;
    if (behind.length === 0 && still) return `the target has all of the source's ${lanes.length} lanes`;
    tell(
      behind.length > 0
        ? `${behind.length} of ${lanes.length} lanes are still behind${countText(behind.map(({ records }) => records))}`
        : 'the target has all; waiting until the source stands still',
    );
    if (clock.monotonic() > deadline) {
      if (!planned) return `${behind.length} lanes were still behind after ${limitMillis / 1_000} s: what they have stays behind`;
      throw new IsthmusError(
        'CONFLICT',
        `draining: after ${limitMillis / 1_000} s ${behind.length === 0 ? 'the source still grows: is it fenced?' : `${behind.length} lanes are behind; see \`isthmus lanes\``}`,
      );
    }
    await clock.sleep(LOOK_MILLIS, signal);
  }
}

function countText(records: readonly (number | null)[]): string {
  return records.includes(null) ? '' : ` by ${records.reduce<number>((sum, each) => sum + (each ?? 0), 0)} records`;
}

/** `undefined` when the source does not answer. */
async function sourceEnds({ sync }: FailoverHost): Promise<SourceEnds | undefined> {
  try {
    return await sync.sourceEnds();
  } catch {
    return undefined;
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
  while (true) {
    if (signal.aborted) throw new IsthmusError('CLOSED', 'moving the groups: it was called off');
    const { groups } = await sync.pass({ apply: true, orKept: !planned });
    const open = groups.filter(({ state, topics }) => state === 'waiting' || (planned && topics.some(({ ahead }) => ahead > 0)));
    if (open.length === 0) return `${groups.length} groups are in place`;
    const [first] = open;
    tell(`${open.length} of ${groups.length} groups are not in place yet`);
    if (clock.monotonic() > deadline) {
      const why = first?.topics.flatMap(({ places }) => places).find(({ reason }) => reason !== null)?.reason;
      // What is unknown stays so: it was in the plan, and whoever has begun has taken it on.
      if (!planned || open.every(({ kind }) => kind === 'unknown'))
        return `${groups.length - open.length} groups are in place, ${open.length} are not: ${open.map(({ group }) => group).join(', ')}`;
      throw new IsthmusError(
        'CONFLICT',
        `moving the groups: ${first?.group ?? ''} is not in place after ${SYNC_MILLIS / 1_000} s${why === undefined || why === null ? '' : `: ${why}`}`,
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
  const lanes = lanesAtRisk(report.sourceEnds, await checkpointsOf(host)).filter(({ records }) => records !== 0);
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
      groups: outcomes(status.plan, report.groups),
      // Of a source that does not answer nobody knows what it got after it was last asked.
      recordsLeftBehind: report.sourceAway === undefined ? total(lanes.map(({ records }) => records)) : null,
      leftBehind: lanes,
      unseenMillis: report.sourceAway === undefined ? 0 : Math.max(0, now - report.sourceAt),
      pausedMirrors: paused,
    },
  };
}

function outcomes(plan: FailoverPlan, groups: readonly GroupStatus[]): GroupOutcome[] {
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
        predicted: before === undefined ? null : { kind: before.kind, rereads: before.rereads },
        actual: { kind: topic.kind, rereads: topic.rereads },
        state: topic.state,
      };
    }),
  );
}
