/** A TCP proxy whose connections a test can cut, and which can be shut for a while, as a network between two regions does. */
import { connect, createServer, type Socket } from 'node:net';

export type TcpProxy = {
  readonly port: number;
  /** Ends all connections at once, in both directions. */
  cut(): void;
  /** While shut, new connections end as soon as they begin. */
  shut(shut: boolean): void;
  close(): Promise<void>;
};

export async function tcpProxy(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let isShut = false;
  const server = createServer((socket) => {
    if (isShut) {
      socket.destroy();
      return;
    }
    const upstream = connect(target.port, target.host);
    const pair = [socket, upstream];
    for (const each of pair) {
      open.add(each);
      // The other side's end and error both end in 'close'.
      each.on('error', () => undefined);
      each.once('close', () => {
        for (const one of pair) {
          open.delete(one);
          one.destroy();
        }
      });
    }
    socket.pipe(upstream);
    upstream.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: address.port,
    cut,
    shut: (shut) => {
      isShut = shut;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
