/** The drills: each does one thing to a system under load, waits until it has recovered, and checks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkFlows, checkGroups, failOver, failOverAndJudge, missingOf, settle, watched } from './acts.ts';
import type { Kit } from './bed.ts';
import { timeToRecover } from './judge.ts';
import { atMost, equals, some } from './outcome.ts';
import { poisonRecord, poisonRules, preparePoison } from './poison.ts';
import { calm, type Prepare, type Stage, waitFor } from './stage.ts';

export type Drill = {
  readonly name: string;
  readonly title: string;
  /** For the report: what it does, and what has to hold. */
  readonly says: string;
  /** Kills servers, or stands in their way: on the kit's alone. */
  readonly needsKit: boolean;
  /** The replicator reaches its source through a proxy. */
  readonly proxied?: boolean;
  readonly mirrorRules?: object;
  /** Before the replicator begins; the topic is there on both sides. */
  readonly prepare?: Prepare;
  readonly run: (stage: Stage) => Promise<void>;
};

const upLimitMillis = 120_000;

function kitOf({ bed }: Stage): Kit {
  if (bed.kit === undefined) throw new Error('this drill plays on the brokers of the kit alone');
  return bed.kit;
}

/** Waits until records arrive on the target as before, and checks how long that took. */
async function recover(stage: Stage, faultAt: number, limitSeconds: number, what: string): Promise<void> {
  const { canaries, watcher, note } = stage;
  const writtenBefore = canaries.source.acknowledged.size;
  await waitFor(
    stage,
    'the canary can write again',
    upLimitMillis,
    async () => await Promise.resolve(canaries.source.acknowledged.size > writtenBefore + 50),
  );
  const wanted = canaries.source.acknowledged.size + canaries.target.acknowledged.size;
  await waitFor(stage, 'records arrive on the target again', upLimitMillis, async () => (await watcher.received()) >= wanted);
  note(`Records flow again ${((Date.now() - faultAt) / 1_000).toFixed(1)} s after ${what}`);
  recoveries.set(stage, [...(recoveries.get(stage) ?? []), { faultAt, limitSeconds, what }]);
  await calm(stage, stage.pace.calmMillis);
}

/** Judged at the end, when the consumer on the target tells what it got when. */
const recoveries = new WeakMap<
  Stage,
  readonly { readonly faultAt: number; readonly limitSeconds: number; readonly what: string }[]
>();

async function checkRecoveries(stage: Stage): Promise<void> {
  const rows = await watched(stage);
  const all = recoveries.get(stage) ?? [];
  for (const [i, { faultAt, limitSeconds, what }] of all.entries()) {
    const until = all[i + 1]?.faultAt ?? Number.POSITIVE_INFINITY;
    const millis = timeToRecover(
      rows.filter(({ at }) => at / 1_000 < until),
      stage.canaries.source,
      faultAt,
    );
    stage.checks.push(atMost(`time to recover from ${what}`, limitSeconds, millis === null ? null : millis / 1_000, 's'));
  }
}

const plannedFailover: Drill = {
  name: 'planned-failover',
  title: 'Planned failover',
  says: 'Both regions are there. The applications of the source move to the target: nothing may be lost and nothing read again.',
  needsKit: false,
  run: async (stage) => {
    await calm(stage, stage.pace.calmMillis);
    await failOverAndJudge(stage);
  },
};

const regionLoss: Drill = {
  name: 'region-loss',
  title: 'Loss of a region',
  says: 'Every broker of the source is killed (SIGKILL) under load, and an unplanned failover moves its groups to the target: no record of the target may be missed, what is read again is what was predicted, and what stays behind is within what the certificate states. Then the region returns, its mirrors are resumed, and at the end nothing may be lost.',
  needsKit: true,
  run: async (stage) => {
    const { canaries, plan, sides, note, checks, api } = stage;
    const { provider, source } = kitOf(stage);
    await calm(stage, stage.pace.calmMillis);
    note(`SIGKILL of all brokers of ${source}`, 'fault');
    const faultAt = Date.now();
    await provider.crash(source);
    const moved = await failOver(stage, 'unplanned', faultAt);
    const { certificate } = moved.failover;
    const atLoss = await sides.target.read(plan.topic);
    const behind = missingOf(canaries.source, atLoss);
    const seenAt = Date.parse(moved.plan.sourceAt);
    const unseen = behind.filter((id) => (canaries.source.acknowledged.get(id) ?? 0) >= seenAt).length;
    const stated = certificate?.leftBehind.reduce((sum, { records }) => sum + (records ?? 0), 0) ?? 0;
    note(
      `${behind.length} acknowledged records stay behind: ${unseen} written after the source was last seen, ${stated} known to be there`,
    );
    checks.push(
      atMost('records that stay behind, and are not among those stated', 0, Math.max(0, behind.length - unseen - stated)),
    );
    checks.push(atMost('the source was last seen before the fault', 10, (faultAt - seenAt) / 1_000, 's'));
    note(`${source} returns`, 'step');
    await provider.up([source]);
    for (const mirror of certificate?.pausedMirrors ?? []) {
      await api.call('POST', `/v1/mirrors/${plan.links.forth}/${mirror}/resume`);
      note(`isthmus mirrors resume ${plan.links.forth}/${mirror}: what stayed behind follows, behind what was written meanwhile`);
    }
    const stored = await settle(stage, moved.consumers);
    checks.push(...checkFlows(stage, stored));
    await checkGroups(stage, moved, stored.away, true);
  },
};

const replicatorLoss: Drill = {
  name: 'replicator-loss',
  title: 'Loss of the replicator',
  says: 'The replicator is killed (SIGKILL) in the middle of its work and started again after some seconds.',
  needsKit: false,
  run: async (stage) => {
    const { process, note, api, signal, pace } = stage;
    for (let i = 1; i <= pace.times; i++) {
      await calm(stage, pace.calmMillis);
      note(`SIGKILL of the replicator (process ${process.pid()})`, 'fault');
      const faultAt = Date.now();
      await process.kill();
      await sleep(3_000, undefined, { signal });
      process.start();
      await api.untilUp(process.assertRunning, signal);
      note(`Started again as process ${process.pid()}`);
      await recover(stage, faultAt, 45, numbered('the loss of the replicator', i, pace.times));
    }
    await failOverAndJudge(stage);
    await checkRecoveries(stage);
  },
};

const redisLoss: Drill = {
  name: 'redis-loss',
  title: 'Loss of Redis',
  says: 'The state store is killed (SIGKILL) and comes back empty: checkpoints, position index and dedup windows are gone, and are made again from the target.',
  needsKit: true,
  run: async (stage) => {
    const { note, signal, pace } = stage;
    const { provider, redis } = kitOf(stage);
    for (let i = 1; i <= pace.times; i++) {
      await calm(stage, pace.calmMillis);
      note(`SIGKILL of ${redis}, which keeps nothing on disk`, 'fault');
      const faultAt = Date.now();
      await provider.kill(redis);
      await sleep(3_000, undefined, { signal });
      await provider.up([redis]);
      note(`${redis} is back, and empty`);
      await recover(stage, faultAt, 60, numbered('the loss of Redis', i, pace.times));
    }
    await failOverAndJudge(stage);
    await checkRecoveries(stage);
  },
};

const brokerRestart: Drill = {
  name: 'broker-restart',
  title: 'Restart of a broker',
  says: 'The broker of the source, then that of the target, is killed (SIGKILL) under load and started again on its data.',
  needsKit: true,
  run: async (stage) => {
    const { note, signal, pace } = stage;
    const { provider, source, target } = kitOf(stage);
    for (const name of [source, target]) {
      await calm(stage, pace.calmMillis);
      note(`SIGKILL of the broker of ${name}`, 'fault');
      const faultAt = Date.now();
      await provider.kill(name);
      await sleep(2_000, undefined, { signal });
      await provider.up([name]);
      note(`${name} serves again`);
      await recover(stage, faultAt, 120, `the restart of ${name}`);
    }
    await failOverAndJudge(stage);
    await checkRecoveries(stage);
  },
};

const slowLink: Drill = {
  name: 'slow-link',
  title: 'Slow and cut link',
  says: 'The line between the replicator and its source is slow, is cut several times, stands still one way, and is away for some seconds.',
  needsKit: true,
  proxied: true,
  run: async (stage) => {
    const { note, signal, pace } = stage;
    const { proxy } = kitOf(stage);
    if (proxy === undefined) throw new Error('the source has no proxy in front');
    await calm(stage, pace.calmMillis);
    note('The line takes 300 ms each way', 'fault');
    proxy.delay(300);
    await sleep(6_000, undefined, { signal });
    proxy.delay(0);
    note('The line is cut, four times');
    for (let i = 0; i < 4; i++) {
      proxy.cut();
      await sleep(700, undefined, { signal });
    }
    note('What the source sends stands still for 4 s');
    proxy.stall('server', true);
    await sleep(4_000, undefined, { signal });
    proxy.stall('server', false);
    note('The line is away for 5 s');
    proxy.shut(true);
    proxy.cut();
    await sleep(5_000, undefined, { signal });
    proxy.shut(false);
    const mendedAt = Date.now();
    note('The line is as before');
    await recover(stage, mendedAt, 60, 'the cut of the line');
    await failOverAndJudge(stage);
    await checkRecoveries(stage);
  },
};

const poison: Drill = {
  name: 'poison-record',
  title: 'Poison record',
  says: 'A record that the target cannot hold comes in the middle of the load: it is kept as a dead letter, and neither its lane nor the others stop.',
  needsKit: false,
  mirrorRules: poisonRules,
  prepare: preparePoison,
  run: async (stage) => {
    const { note, pace, sides, plan, checks } = stage;
    await calm(stage, pace.calmMillis);
    const letter = poisonRecord(stage);
    note(`A record that ${sides.target.where.name} cannot hold: ${letter.why}`, 'fault');
    const faultAt = Date.now();
    await letter.send();
    await recover(stage, faultAt, 20, 'the poison record');
    await failOverAndJudge(stage, new Set([letter.id]));
    await checkRecoveries(stage);
    const [kept, through] = [await sides.target.read(`${plan.topic}-dead-letter`), await sides.target.read(plan.topic)];
    checks.push(equals('dead letters: the poison record', 1, kept.filter(({ id }) => id === letter.id).length));
    checks.push(equals('dead letters: other records', 0, kept.filter(({ id }) => id !== letter.id).length));
    checks.push(equals('the poison record in the target topic', 0, through.filter(({ id }) => id === letter.id).length));
    checks.push(some('records behind it in its lane', behindIt(stage, letter.lane, faultAt)));
  },
};

function behindIt({ canaries }: Stage, lane: number, faultAt: number): number {
  return [...canaries.source.acknowledged].filter(([id, at]) => id.startsWith(`source-${lane}-`) && at > faultAt).length;
}

function numbered(what: string, i: number, times: number): string {
  return times === 1 ? what : `${what} (${i} of ${times})`;
}

export const drills: readonly Drill[] = [plannedFailover, regionLoss, replicatorLoss, redisLoss, brokerRestart, slowLink, poison];
