/** Redis: the system's redis-server, without persistence. */
import { serverCheck } from './probe.ts';
import type { Place, ServerSpec } from './server.ts';
import type { RedisEndpoints } from './table.ts';

export function redisServer(endpoints: RedisEndpoints, place: Place): ServerSpec {
  return {
    name: endpoints.name,
    directory: place.directory,
    tools: ['redis-server'],
    artifact: undefined,
    files: () => ({}),
    processes: [
      {
        id: 'server',
        command: 'redis-server',
        args: redisArgs(endpoints, '127.0.0.1'),
        env: {},
        check: serverCheck(endpoints),
      },
    ],
    extraLogs: [],
  };
}

export function redisArgs(endpoints: RedisEndpoints, bindAddress: string): readonly string[] {
  return ['--port', String(endpoints.ports.redis), '--bind', bindAddress, '--save', '', '--appendonly', 'no'];
}
