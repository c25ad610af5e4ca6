/** The webhooks that a drill's failover calls: here an operator's own tools would stop and start applications. */
import { createServer } from 'node:http';

export type Hooks = {
  readonly url: (step: 'fence' | 'release') => string;
  readonly close: () => Promise<void>;
};

/** Calls `handle` for each step; what it rejects with is the hook's failure. A hook may come twice, and runs once. */
export async function serveHooks(handle: (step: 'fence' | 'release') => Promise<void>): Promise<Hooks> {
  const begun = new Map<string, Promise<void>>();
  const server = createServer((request, response) => {
    const step = request.url?.slice(1);
    request.resume();
    if (request.method !== 'POST' || (step !== 'fence' && step !== 'release')) {
      response.writeHead(404).end();
      return;
    }
    const work = begun.get(step) ?? handle(step);
    begun.set(step, work);
    work.then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address === null || typeof address === 'string' ? 0 : address.port;
  return {
    url: (step) => `http://127.0.0.1:${port}/${step}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
