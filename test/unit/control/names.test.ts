import { describe, expect, it } from 'vitest';
import { Stage, specOf } from './kit.ts';

describe('two topics of one mirror that would get one name', () => {
  it('are not mixed: one of them has it, and the other waits and says so', async () => {
    const stage = new Stage();
    for (const topic of ['x-a_b-c', 'x-a-b_c']) {
      stage.source.addQueues(topic, 'broker-a', 1);
      stage.produce(5, {}, topic);
    }
    const renames = [{ match: 'x-*_*', to: 'y-{1}-{2}' }];
    const supervisor = stage.start({ mirrors: [specOf('m', { topics: ['x-*'], renames })] });
    await stage.time.pass(8_000);
    expect(stage.stored('y-a-b-c')).toHaveLength(5);
    expect(new Set(stage.stored('y-a-b-c').map((body) => body.split('/')[0])).size).toBe(1);
    const { state, trouble, topics } = supervisor.mirror({ link: 'l', mirror: 'm' });
    expect([state, trouble?.code, topics]).toEqual(['waiting', 'CONFLICT', ['x-a-b_c']]);
    expect(trouble?.message).toContain('x-a_b-c as y-a-b-c: x-a-b_c has this name already');
    await stage.close(supervisor);
  });
});
