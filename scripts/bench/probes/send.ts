/**
 * What a broker takes from a plain socket: sends equal messages in batches to 8 queues, one batch on its way per queue.
 * Usage: send.ts BROKER TOPIC COUNT BATCH SIZE (SIZE: body bytes)
 */
import { connectBroker, meter } from './remoting.ts';

const [broker = '', topic = '', ...numbers] = process.argv.slice(2);
const [total = 0, perBatch = 1, size = 0] = numbers.map(Number);
const sendBatch = 310;
const queues = 8;
const call = connectBroker(broker);
const done = meter();
let sent = 0;
let stored = 0;
let ended = false;

for (let queue = 0; queue < queues; queue++) send(queue);

function send(queue: number): void {
  if (sent >= total) return;
  const count = Math.min(perBatch, total - sent);
  sent += count;
  const fields = {
    a: 'probe',
    b: topic,
    c: 'none',
    d: '8',
    e: String(queue),
    f: '0',
    g: String(Date.now()),
    h: '0',
    i: 'WAIT\u0001true\u0002',
    j: '0',
    k: 'false',
    m: 'true',
  };
  call(sendBatch, fields, batchOf(count), () => {
    stored += count;
    if (stored < total) send(queue);
    else if (!ended) {
      ended = true;
      done(stored);
    }
  });
}

/** Built anew for each batch, as whoever forwards messages has to. Layout: size, magic, CRC, flag, body, properties. */
function batchOf(count: number): Buffer {
  const properties = Buffer.from(
    'KEYS\u0001k123\u0002seq\u0001123456\u0002UNIQ_KEY\u00017F000001345678901234567890123456\u0002origin\u0001rmq-a/bench/0/123456\u0002',
  );
  const length = 20 + size + 2 + properties.length;
  const batch = Buffer.alloc(count * length);
  for (let i = 0, at = 0; i < count; i++, at += length) {
    batch.writeInt32BE(length, at);
    batch.writeInt32BE(size, at + 16);
    batch.fill(65, at + 20, at + 20 + size);
    batch.writeInt16BE(properties.length, at + 20 + size);
    properties.copy(batch, at + 22 + size);
  }
  return batch;
}
