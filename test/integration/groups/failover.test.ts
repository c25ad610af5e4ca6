import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testOffset } from '../../kit/brokers.ts';
import { clusterEyes } from '../../kit/cluster-eyes.ts';
import {
  expectGoesOn,
  FAILOVER_MESSAGES,
  type FailoverView,
  prepareFailover,
  untilFailoverEnded,
} from '../../kit/failing-over.ts';
import { eventually } from '../../kit/mirror-under-test.ts';
import { useStage } from '../../kit/stage.ts';

const stage = useStage(['rmq-east', 'pulsar-west']);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-failover-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a planned failover', () => {
  it('calls its hooks, drains, moves the groups and certifies what was predicted', async () => {
    const [fenced, released] = [join(folder, 'fenced'), join(folder, 'released')];
    const hook = (file: string): object => ({ command: ['sh', '-c', `echo "$ISTHMUS_STEP $ISTHMUS_KIND" > ${file}`] });
    const setting = await prepareFailover(stage, 'rmq-east', { fence: [hook(fenced)], release: [hook(released)] }, 120);
    const plan = await setting.mirror.api<FailoverView['plan']>('POST', setting.path, { dryRun: true });
    expect([plan.status, plan.body.blockers, plan.body.sourceAway]).toEqual([200, [], null]);
    expect(existsSync(fenced)).toBe(false);
    expect((await setting.mirror.api('POST', setting.path, {})).status).toBe(202);
    const ended = await untilFailoverEnded(setting);
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
    await expectGoesOn(stage, setting, setting.atSource, ended.certificate);
  });

  it('does not wait for applications that write on the target, and leaves nothing behind', async () => {
    const setting = await prepareFailover(stage, 'rmq-east', {}, 120, true);
    const { mirror: running, each, path } = setting;
    const target = clusterEyes(stage.eyes, each.to, testOffset);
    let writing = true;
    let from = FAILOVER_MESSAGES;
    const writer = (async () => {
      while (writing) {
        await target.load(each.topic, { count: 20, from, keys: 50 });
        from += 20;
        await sleep(200);
      }
    })();
    try {
      await eventually('what the target got comes to the source', async () => {
        return (await setting.source.count(each.topic)).distinct > FAILOVER_MESSAGES;
      });
      expect((await running.api('POST', path, { drainTimeout: '30s' })).status).toBe(202);
      const ended = await untilFailoverEnded(setting);
      expect([ended.state, ended.trouble]).toEqual(['done', null]);
      expect(ended.certificate).toMatchObject({ recordsLeftBehind: 0, unseenSeconds: 0, pausedMirrors: [] });
      // A consumer is taken to be done when nothing more comes.
      writing = false;
      await writer;
      await expectGoesOn(stage, setting, setting.atSource, ended.certificate);
    } finally {
      writing = false;
      await writer;
    }
  });

  it('goes on after a SIGKILL in the middle of a step', async () => {
    const setting = await prepareFailover(stage, 'rmq-east', { fence: [{ command: ['sleep', '3'] }] }, 60);
    await setting.mirror.api('POST', setting.path, {});
    await setting.mirror.process.kill();
    setting.mirror.process.start();
    await setting.mirror.listening();
    const ended = await untilFailoverEnded(setting);
    expect([ended.state, ended.trouble]).toEqual(['done', null]);
    await expectGoesOn(stage, setting, setting.atSource, ended.certificate);
  });

  it('stops where a hook fails, says what it said, and may be begun again', async () => {
    const setting = await prepareFailover(
      stage,
      'rmq-east',
      { fence: [{ command: ['sh', '-c', 'echo no such host >&2; exit 3'] }] },
      10,
    );
    await setting.mirror.api('POST', setting.path, {});
    const ended = await untilFailoverEnded(setting);
    expect([ended.state, ended.step]).toEqual(['failed', 'fence']);
    expect(ended.trouble?.message).toContain('no such host');
    expect((await setting.mirror.api('POST', setting.path, {})).status).toBe(202);
    await untilFailoverEnded(setting);
  });
});
