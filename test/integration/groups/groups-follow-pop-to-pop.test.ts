import { describe, it } from 'vitest';
import { expectPopFollows } from '../../kit/following.ts';
import { useStage } from '../../kit/stage.ts';

// By itself: a second cluster with a timer wheel takes a third of a core for as long as it runs.
const stage = useStage(['rmq-timer', 'rmq-timer-west']);

describe('a group that moves from POP consumers to POP consumers', () => {
  it('gets everything once, but for what was predicted', async () => {
    await expectPopFollows(stage, { name: 'POP to POP', from: 'rmq-timer', to: 'rmq-timer-west', kinds: [['POP', 'POP']] });
  });
});
