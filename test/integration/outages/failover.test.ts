import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { consumeAtSource, consumeAtTarget, doneAt, type FollowingCase, untilSynced } from '../../kit/following.ts';
import type { MemberRow } from '../../kit/members.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { useStage } from '../../kit/stage.ts';

const MESSAGES = 300;

const stage = useStage(['rmq-east', 'rmq-west', 'pulsar-west']);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-failover-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

type Outcome = {
  readonly group: string;
  readonly predicted: { readonly rereads: number | null };
  readonly actual: { readonly kind: string; readonly rereads: number | null };
};

type FailoverView = {
  readonly state: string;
  readonly step: string;
  readonly steps: readonly { readonly step: string; readonly endedAt: string | null; readonly detail: string }[];
  readonly trouble: { readonly message: string } | null;
  readonly plan: { readonly sourceAway: string | null; readonly blockers: readonly string[] };
  readonly certificate: {
    readonly groups: readonly Outcome[];
    readonly recordsLeftBehind: number | null;
    readonly unseenSeconds: number;
    readonly pausedMirrors: readonly string[];
  } | null;
};

type Setting = {
  readonly mirror: MirrorUnderTest;
  readonly each: FollowingCase;
  readonly source: ClusterEyes;
  readonly path: string;
};

/** A mirrored topic, of which a group's consumer at the source has taken a part. */
async function prepare(
  from: ClusterName,
  failover: object,
  stopAfter: number,
  bothWays = false,
): Promise<Setting & { readonly atSource: readonly MemberRow[] }> {
  const run = randomUUID().slice(0, 8);
  const [topic, group, to] = [`failover-${run}`, `app-${run}`, 'pulsar-west' as const];
  const [source, target] = [clusterEyes(stage.eyes, from, testOffset), clusterEyes(stage.eyes, to, testOffset)];
  await source.createTopic(topic, 2);
  await source.load(topic, { count: MESSAGES, keys: 50 });
  const link = (name: string, here: ClusterEyes, there: ClusterEyes): Parameters<typeof linksUnderTest>[0][number] => ({
    name,
    from: here.name,
    to: there.name,
    groups: { every: '1s' },
    ...(name === 'l' ? { failover } : {}),
    mirrors: { m: { topics: [here.full(topic)], rename: there.full(topic) } },
  });
  const links = [link('l', source, target), link('back', target, source)];
  const started = await linksUnderTest(bothWays ? links : links.slice(0, 1));
  stage.mirror = started;
  started.process.start();
  await eventually('all is mirrored', async () => (await target.count(topic)).distinct === MESSAGES, started.process);
  const each: FollowingCase = {
    from,
    to,
    sourceKind: 'push',
    targetKind: 'Failover',
    topic,
    group,
    messages: MESSAGES,
    stopAfter,
  };
  const atSource = await consumeAtSource(stage.eyes, each);
  return { mirror: started, each, source, atSource, path: `/v1/links/${started.link}/failover` };
}

async function untilEnded({ mirror: running, path }: Setting): Promise<FailoverView> {
  let view: FailoverView | undefined;
  await eventually('the failover has ended', async () => {
    view = (await running.api<FailoverView>('GET', path)).body;
    return view.state !== 'running';
  });
  if (view === undefined) throw new Error('it has just ended');
  return view;
}

/** Between both ends everything, and twice just what the certificate says. */
async function expectGoesOn(
  { each }: Setting,
  atSource: readonly MemberRow[],
  certificate: FailoverView['certificate'],
): Promise<void> {
  const done = doneAt(atSource);
  const onTarget = (await consumeAtTarget(stage.eyes, each)).map(({ id }) => id);
  const missing = Array.from({ length: MESSAGES }, (_, id) => String(id)).filter((id) => !done.has(id) && !onTarget.includes(id));
  expect(missing).toEqual([]);
  const outcome = certificate?.groups.find(({ group }) => group === each.group);
  expect(onTarget.filter((id) => done.has(id))).toHaveLength(outcome?.actual.rereads ?? -1);
}

describe('a planned failover', () => {
  it('calls its hooks, drains, moves the groups and certifies what was predicted', async () => {
    const [fenced, released] = [join(folder, 'fenced'), join(folder, 'released')];
    const hook = (file: string): object => ({ command: ['sh', '-c', `echo "$ISTHMUS_STEP $ISTHMUS_KIND" > ${file}`] });
    const setting = await prepare('rmq-east', { fence: [hook(fenced)], release: [hook(released)] }, 120);
    const plan = await setting.mirror.api<FailoverView['plan']>('POST', setting.path, { dryRun: true });
    expect([plan.status, plan.body.blockers, plan.body.sourceAway]).toEqual([200, [], null]);
    expect(existsSync(fenced)).toBe(false);
    expect((await setting.mirror.api('POST', setting.path, {})).status).toBe(202);
    const ended = await untilEnded(setting);
    expect([ended.state, ended.trouble, ended.steps.map(({ step }) => step)]).toEqual([
      'done',
      null,
      ['fence', 'drain', 'sync', 'release'],
    ]);
    expect([readFileSync(fenced, 'utf8').trim(), readFileSync(released, 'utf8').trim()]).toEqual([
      'fence planned',
      'release planned',
    ]);
    expect(ended.certificate).toMatchObject({ recordsLeftBehind: 0, unseenSeconds: 0, pausedMirrors: [] });
    const outcome = ended.certificate?.groups.find(({ group }) => group === setting.each.group);
    expect(outcome?.actual.rereads).toBe(outcome?.predicted.rereads);
    await expectGoesOn(setting, setting.atSource, ended.certificate);
  });

  it('does not wait for applications that write on the target, and leaves nothing behind', async () => {
    const setting = await prepare('rmq-east', {}, 120, true);
    const { mirror: running, each, path } = setting;
    const target = clusterEyes(stage.eyes, each.to, testOffset);
    let writing = true;
    let from = MESSAGES;
    const writer = (async () => {
      while (writing) {
        await target.load(each.topic, { count: 20, from, keys: 50 });
        from += 20;
        await sleep(200);
      }
    })();
    try {
      await eventually('what the target got comes to the source', async () => {
        return (await setting.source.count(each.topic)).distinct > MESSAGES;
      });
      expect((await running.api('POST', path, { drainTimeout: '30s' })).status).toBe(202);
      const ended = await untilEnded(setting);
      expect([ended.state, ended.trouble]).toEqual(['done', null]);
      expect(ended.certificate).toMatchObject({ recordsLeftBehind: 0, unseenSeconds: 0, pausedMirrors: [] });
      await expectGoesOn(setting, setting.atSource, ended.certificate);
    } finally {
      writing = false;
      await writer;
    }
  });

  it('goes on after a SIGKILL in the middle of a step', async () => {
    const setting = await prepare('rmq-east', { fence: [{ command: ['sleep', '3'] }] }, 60);
    await setting.mirror.api('POST', setting.path, {});
    await setting.mirror.process.kill();
    setting.mirror.process.start();
    await setting.mirror.listening();
    const ended = await untilEnded(setting);
    expect([ended.state, ended.trouble]).toEqual(['done', null]);
    await expectGoesOn(setting, setting.atSource, ended.certificate);
  });

  it('stops where a hook fails, says what it said, and may be begun again', async () => {
    const setting = await prepare('rmq-east', { fence: [{ command: ['sh', '-c', 'echo no such host >&2; exit 3'] }] }, 10);
    await setting.mirror.api('POST', setting.path, {});
    const ended = await untilEnded(setting);
    expect([ended.state, ended.step]).toEqual(['failed', 'fence']);
    expect(ended.trouble?.message).toContain('no such host');
    expect((await setting.mirror.api('POST', setting.path, {})).status).toBe(202);
    await untilEnded(setting);
  });
});

describe('an unplanned failover', () => {
  it('goes by what the lost source has said last, and lets nothing of it come unasked afterwards', async () => {
    const setting = await prepare('rmq-west', {}, 150);
    await untilSynced(setting.mirror, setting.each.group);
    await stage.brokers.kill('rmq-west');
    try {
      const planned = await setting.mirror.api<{ detail: string }>('POST', setting.path, {});
      expect([planned.status, planned.body.detail]).toEqual([409, expect.stringContaining('does not answer')]);
      expect((await setting.mirror.api('POST', setting.path, { kind: 'unplanned', drainTimeout: '5s' })).status).toBe(202);
      const ended = await untilEnded(setting);
      expect([ended.state, ended.trouble]).toEqual(['done', null]);
      expect(ended.certificate).toMatchObject({ recordsLeftBehind: null, pausedMirrors: ['m'] });
      expect(ended.certificate?.unseenSeconds).toBeGreaterThan(0);
      await expectGoesOn(setting, setting.atSource, ended.certificate);
    } finally {
      await stage.brokers.start('rmq-west');
    }
  });
});
