/**
 * What a broker gives to a plain socket: pulls a topic that was loaded over 8 queues, several pulls on their way per queue, and walks over the answers.
 * Usage: pull.ts BROKER TOPIC SHARE[,SHARE...] DEPTH (SHARE: messages of each queue)
 */
import { connectBroker, meter } from './remoting.ts';

const [broker = '', topic = '', shares = '', depth = '4'] = process.argv.slice(2);
const pullMessage = 11;
/** Of one reply, with a broker's defaults. */
const perPull = 32;
const call = connectBroker(broker);
const done = meter();
const none = Buffer.alloc(0);
let pulled = 0;
let open = 0;

for (const [queue, share] of shares.split(',').map(Number).entries()) {
  open++;
  pullQueue(queue, share);
}

function pullQueue(queue: number, end: number): void {
  let next = 0;
  let inFlight = 0;
  const issue = (): void => {
    while (inFlight < Number(depth) && next < end) {
      inFlight++;
      const from = next;
      next = Math.min(end, next + perPull);
      pull(from, next);
    }
    if (inFlight === 0 && next >= end && --open === 0) done(pulled);
  };
  const pull = (from: number, to: number): void => {
    const fields = {
      consumerGroup: 'probe',
      topic,
      queueId: String(queue),
      queueOffset: String(from),
      maxMsgNums: String(to - from),
      sysFlag: '6',
      commitOffset: '0',
      suspendTimeoutMillis: '0',
      subscription: '*',
      subVersion: '0',
      expressionType: 'TAG',
    };
    call(pullMessage, fields, none, ({ body }) => {
      const count = countMessages(body);
      pulled += count;
      if (from + count < to) {
        pull(from + count, to);
        return;
      }
      inFlight--;
      issue();
    });
  };
  issue();
}

/** A stored message begins with its size. */
function countMessages(body: Buffer): number {
  let count = 0;
  for (let at = 0; at < body.length; at += body.readInt32BE(at)) count++;
  return count;
}
