import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** One file at a time: the brokers, the clients and the replicator share two cores. */
const onBrokers = { testTimeout: 300_000, hookTimeout: 300_000, fileParallelism: false };

const config: ViteUserConfig = defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { test: { name: 'tidy', include: ['test/tidy.test.ts'] } },
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'conformance', include: ['test/conformance/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000 } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 60_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/faults/**'],
          globalSetup: ['test/kit/global-setup.ts'],
          ...onBrokers,
        },
      },
      { test: { name: 'faults', include: ['test/integration/faults/**/*.test.ts'], ...onBrokers } },
    ],
  },
});

export default config;
