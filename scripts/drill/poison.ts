/** A record that a target cannot hold: too large for a Pulsar topic with a limit, or a property that RocketMQ has no way to store. */
import { DemoError } from '../demo/errors.ts';
import type { Sides } from './plan.ts';
import { type Stage, waitFor } from './stage.ts';

export const poisonRules: object = { onBadRecord: 'dead-letter' };

const limitBytes = 20_000;
const policyLimitMillis = 30_000;
const lane = 0;

export type Poison = {
  readonly id: string;
  readonly lane: number;
  readonly why: string;
  readonly send: () => Promise<void>;
};

/** Lets a Pulsar target take no large records; the canary's are far below the limit. Before the replicator begins, which reads the limit when it begins to write. */
export async function preparePoison({ source, target }: Sides, topic: string, signal: AbortSignal): Promise<void> {
  const { where } = target;
  if (where.kind === 'rocketmq') {
    if (source.where.kind === 'rocketmq')
      throw new DemoError('RocketMQ holds whatever RocketMQ has given: choose a Pulsar cluster at one end for this drill');
    return;
  }
  const url = `${where.adminUrl}/admin/v2/persistent/public/default/${topic}/maxMessageSize`;
  const headers = { 'content-type': 'application/json' };
  // Policies travel through a topic of their own, which a fresh broker refuses for a moment.
  await waitFor({ signal }, 'the limit is taken', policyLimitMillis, async () => {
    await fetch(url, { method: 'POST', headers, body: String(limitBytes) });
    return (await (await fetch(url)).text()) === String(limitBytes);
  });
}

export function poisonRecord({ sides, plan }: Stage): Poison {
  const message = { id: 'poison-0-0', key: 'poison', lane, body: 'poison' };
  const send = async (changes: object): Promise<void> => await sides.source.send(plan.topic, { ...message, ...changes });
  if (sides.target.where.kind === 'rocketmq') {
    const changes = { properties: { odd: 'a\u0001b' } };
    return { id: message.id, lane, why: 'a property with a control character', send: async () => await send(changes) };
  }
  const changes = { body: 'x'.repeat(2 * limitBytes) };
  return { id: message.id, lane, why: `more than ${limitBytes} bytes`, send: async () => await send(changes) };
}
