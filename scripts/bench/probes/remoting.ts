/** As little of RocketMQ's remoting protocol as a probe needs: requests with a JSON header on one plain socket. */
import { connect } from 'node:net';

export type Reply = { readonly code: number; readonly fields: Readonly<Record<string, string>>; readonly body: Buffer };

export type Call = (
  code: number,
  fields: Readonly<Record<string, string>>,
  body: Buffer,
  onReply: (reply: Reply) => void,
) => void;

const headerLengthMask = 0xffffff;

/** Connects to a broker, `host:port`. A reply that is no success ends the process. */
export function connectBroker(broker: string): Call {
  const [host, port] = broker.split(':');
  const socket = connect(Number(port), host);
  socket.setNoDelay(true);
  const waiting = new Map<number, (reply: Reply) => void>();
  let received: Buffer = Buffer.alloc(0);
  let lastOpaque = 0;
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    let at = 0;
    while (received.length - at >= 4) {
      const end = at + 4 + received.readUInt32BE(at);
      if (received.length < end) break;
      const headerEnd = at + 8 + (received.readUInt32BE(at + 4) & headerLengthMask);
      const header = JSON.parse(received.toString('utf8', at + 8, headerEnd));
      if (header.code !== 0) throw new Error(`the broker answered ${header.code}: ${header.remark}`);
      const onReply = waiting.get(header.opaque);
      waiting.delete(header.opaque);
      onReply?.({ code: header.code, fields: header.extFields ?? {}, body: received.subarray(headerEnd, end) });
      at = end;
    }
    received = received.subarray(at);
  });
  return (code, fields, body, onReply) => {
    const opaque = ++lastOpaque;
    const header = Buffer.from(JSON.stringify({ code, language: 'OTHER', version: 413, opaque, flag: 0, extFields: fields }));
    const lengths = Buffer.allocUnsafe(8);
    lengths.writeUInt32BE(4 + header.length + body.length, 0);
    lengths.writeUInt32BE(header.length, 4);
    waiting.set(opaque, onReply);
    socket.cork();
    for (const part of [lengths, header, body]) socket.write(part);
    socket.uncork();
  };
}

export type ProbeReport = { readonly count: number; readonly seconds: number; readonly cpuSeconds: number };

/** Prints what the process has done and cost since `meter` was made, and ends it. */
export function meter(): (count: number) => void {
  const began = performance.now();
  const before = process.cpuUsage();
  return (count) => {
    const { user, system } = process.cpuUsage(before);
    const report: ProbeReport = { count, seconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6 };
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
  };
}
