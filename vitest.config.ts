import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** One file at a time: the brokers, the clients and the replicator share two cores. */
const onBrokers = { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false };

/** The one for drivers, without the fake clusters. */
const onDriversBrokers = ['test/conformance/drivers/{rocketmq,pulsar}-*.test.ts'];

/** Files that kill or freeze a server which other files share: alone, behind the others. */
const outages = ['test/integration/outages/**/*.test.ts'];

/** The whole matrix of faults: too long for the usual run. */
const faults = ['test/integration/faults/**/*.test.ts'];

const config: ViteUserConfig = defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { test: { name: 'tidy', include: ['test/tidy.test.ts'] } },
      // Far more than any takes on a machine of its own: others may need the cores, too.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
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
          exclude: [...outages, ...faults],
          globalSetup: ['test/kit/global-setup.ts'],
          ...onBrokers,
          // Most of what they do is to wait: one at a time, the two cores would be idle for two thirds of it.
          fileParallelism: true,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'outages',
          include: outages,
          globalSetup: ['test/kit/global-setup.ts'],
          ...onBrokers,
          sequence: { groupOrder: 2 },
        },
      },
      { test: { name: 'faults', include: faults, ...onBrokers, sequence: { groupOrder: 3 } } },
    ],
  },
});

export default config;
