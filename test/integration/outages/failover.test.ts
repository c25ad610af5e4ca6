import { describe, expect, it } from 'vitest';
import { expectGoesOn, prepareFailover, untilFailoverEnded } from '../../kit/failing-over.ts';
import { untilSynced } from '../../kit/following.ts';
import { useStage } from '../../kit/stage.ts';

const stage = useStage(['rmq-west', 'pulsar-west']);

describe('an unplanned failover', () => {
  it('goes by what the lost source has said last, and lets nothing of it come unasked afterwards', async () => {
    const setting = await prepareFailover(stage, 'rmq-west', {}, 150);
    await untilSynced(setting.mirror, setting.each.group);
    await stage.brokers.kill('rmq-west');
    try {
      const planned = await setting.mirror.api<{ detail: string }>('POST', setting.path, {});
      expect([planned.status, planned.body.detail]).toEqual([409, expect.stringContaining('does not answer')]);
      expect((await setting.mirror.api('POST', setting.path, { kind: 'unplanned', drainTimeout: '5s' })).status).toBe(202);
      const ended = await untilFailoverEnded(setting);
      expect([ended.state, ended.trouble]).toEqual(['done', null]);
      expect(ended.certificate).toMatchObject({ recordsLeftBehind: null, pausedMirrors: ['m'] });
      expect(ended.certificate?.unseenSeconds).toBeGreaterThan(0);
      await expectGoesOn(stage, setting, setting.atSource, ended.certificate);
    } finally {
      await stage.brokers.start('rmq-west');
    }
  });
});
