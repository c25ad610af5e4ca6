import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** One file at a time: the brokers, the clients and the replicator share two cores. */
const onBrokers = { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false };

/** The one for drivers, without the fake clusters. */
const onDriversBrokers = ['test/conformance/drivers/{rocketmq,pulsar}-*.test.ts'];

/** Kills and freezes brokers for minutes: part of the matrix of faults, so that the usual run stays within half an hour. */
const longFaults = ['test/integration/{mirror-faults,rocketmq-faults,rocketmq-sink-faults}.test.ts'];

const config: ViteUserConfig = defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { test: { name: 'tidy', include: ['test/tidy.test.ts'] } },
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          exclude: onDriversBrokers,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'drivers',
          include: onDriversBrokers,
          globalSetup: ['test/conformance/drivers/kit/global-setup.ts'],
          ...onBrokers,
          testTimeout: 60_000,
        },
      },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 60_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/faults/**', ...longFaults],
          globalSetup: ['test/kit/global-setup.ts'],
          ...onBrokers,
        },
      },
      { test: { name: 'faults', include: ['test/integration/faults/**/*.test.ts', ...longFaults], ...onBrokers } },
    ],
  },
});

export default config;
