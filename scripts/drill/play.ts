/** One drill from its servers to its result. */
import type { Eyes } from '../../test/kit/eyes.ts';
import type { MemberRow } from '../../test/kit/members.ts';
import type { Screen } from '../demo/screen.ts';
import type { Bed } from './bed.ts';
import type { Drill } from './drills.ts';
import { secondBySecond } from './judge.ts';
import { type DrillResult, some } from './outcome.ts';
import type { Pace } from './plan.ts';
import { openStage, type Stage } from './stage.ts';

export type PlayOptions = {
  readonly drill: Drill;
  readonly open: () => Promise<Bed>;
  readonly eyes: Eyes;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly pace: Pace;
  readonly both: boolean;
};

/** What breaks a drill off is in its result. Everything that was started is ended before it resolves. */
export async function playDrill({ drill, open, eyes, screen, signal, pace, both }: PlayOptions): Promise<DrillResult> {
  const endings: (() => Promise<void>)[] = [];
  const startedAt = Date.now();
  let bed: Bed | undefined;
  let stage: Stage | undefined;
  let brokenOff: string | null = null;
  try {
    bed = await open();
    endings.push(bed.close);
    signal.throwIfAborted();
    const { mirrorRules = {}, prepare } = drill;
    stage = await openStage({
      bed,
      eyes,
      screen,
      signal,
      pace,
      both,
      mirrorRules,
      prepare,
      atEnd: (end) => void endings.push(end),
    });
    await drill.run(stage);
  } catch (error) {
    brokenOff = error instanceof Error ? error.message : String(error);
  }
  screen.settle();
  const endedAt = Date.now();
  const watched = stage === undefined ? [] : await stage.watcher.stop().catch((): readonly MemberRow[] => []);
  for (const end of endings.toReversed()) {
    await end().catch((error: unknown) =>
      screen.say(`While stopping: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
  return {
    drill: drill.name,
    title: drill.title,
    says: drill.says,
    startedAt,
    endedAt,
    source: bed === undefined ? '' : describe(bed.source),
    target: bed === undefined ? '' : describe(bed.target),
    state: bed?.stateUrl ?? 'a file of its own',
    timeline: stage?.timeline ?? [],
    checks:
      stage === undefined ? [] : [...stage.checks, some('records that a consumer on the target got meanwhile', watched.length)],
    groups: stage?.groups ?? [],
    seconds: stage === undefined ? [] : secondsOf(stage, startedAt, endedAt, watched),
    failover: stage?.failover ?? null,
    brokenOff,
    files: stage === undefined ? [] : [stage.plan.configFile, stage.plan.logFile],
  };
}

function describe({ name, kind }: Bed['source']): string {
  return `${name} (${kind === 'rocketmq' ? 'RocketMQ' : 'Pulsar'})`;
}

function secondsOf({ canaries }: Stage, from: number, to: number, watched: readonly MemberRow[]): DrillResult['seconds'] {
  const written = [...canaries.source.acknowledged.values(), ...canaries.target.acknowledged.values()];
  return secondBySecond(
    from,
    to,
    written,
    watched.map(({ at }) => at / 1_000),
  );
}
