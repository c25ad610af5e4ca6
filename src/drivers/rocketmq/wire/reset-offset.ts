import { RequestCode } from './codes.ts';
import type { Request } from './command.ts';

/**
 * 222 INVOKE_BROKER_TO_RESET_OFFSET of one queue: moves a group whether it is in use or not, forward and back. From then on until the group has pulled or popped this queue, a plain 15 is
 * thrown away. Brokers before 5.2 may go by the time alone and ignore queue and offset.
 */
export function resetOffset(group: string, topic: string, queueId: number, offset: number): Request {
  return {
    code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
    fields: [
      ['group', group],
      ['topic', topic],
      ['queueId', String(queueId)],
      ['offset', String(offset)],
      ['timestamp', '-1'],
      ['isForce', 'true'],
    ],
  };
}
