import { IsthmusError } from '../../../errors.ts';
import type { DeadLetter } from '../../../spi/sink.ts';

export async function writeDeadLetter(letter: DeadLetter): Promise<void> {
  throw new IsthmusError('RECORD_REFUSED', `writing a dead letter to ${letter.topic}: not supported on RocketMQ yet`);
}
