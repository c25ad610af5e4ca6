/** One command to a Redis, without a client: for what tests do to it behind everybody's back. */
import { once } from 'node:events';
import { connect } from 'node:net';

/** Sends a command without arguments and resolves when it is answered with OK. */
export async function redisCommand(port: number, command: 'FLUSHALL'): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write(`${command}\r\n`);
    const [answer] = await once(socket, 'data');
    if (!String(answer).startsWith('+OK')) throw new Error(`Redis answered ${String(answer)}`);
  } finally {
    socket.destroy();
  }
}
