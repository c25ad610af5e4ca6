import { expect } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { ConfigError, type Problem } from '../../../src/config/problems.ts';

export const GOOD: string = `region: west
clusters:
  rmq-east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  pulsar-west: { type: pulsar, region: west, serviceUrl: "pulsar://127.0.0.1", adminUrl: "http://127.0.0.1:8080/" }
links:
  east-west:
    from: rmq-east
    to: pulsar-west
    mirrors:
      orders: { topics: ["orders-*"] }
`;

/** Two clusters of each kind, and one link whose ends are to be put in. */
export const FOUR: string = `region: west
clusters:
  rmq-east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  rmq-west: { type: rocketmq, region: west, namesrv: ["127.0.0.1:9877"] }
  pulsar-east: { type: pulsar, region: east, serviceUrl: "pulsar://127.0.0.1:6650", adminUrl: "http://127.0.0.1:8080/" }
  pulsar-west: { type: pulsar, region: west, serviceUrl: "pulsar://127.0.0.1:6651", adminUrl: "http://127.0.0.1:8081/" }
links:
  link: { from: A, to: B, mirrors: { m: { topics: ["orders-*"] } } }
`;

export function problemsOf(
  text: string,
  environment: Record<string, string> = {},
  file = '/etc/isthmus/west.yaml',
): readonly Problem[] {
  try {
    parseConfig(text, file, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** Replaces a part of the good file; the part must be there. */
export function broken(part: string, by: string): string {
  expect(GOOD).toContain(part);
  return GOOD.replace(part, () => by);
}

export const lines = (problems: readonly Problem[]): string[] => problems.map(({ path, message }) => `${path} ${message}`);
