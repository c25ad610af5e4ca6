import { expect, it } from 'vitest';
import { openPulsarNative } from '../../../src/drivers/pulsar/native/driver.ts';
import { loadFromNpm, loadPulsarModule } from '../../../src/drivers/pulsar/native/module.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { memoryLog } from '../../kit/pulsar-writing.ts';
import { pulsarDriver } from './kit/pulsar.ts';
import { describeDriver } from './kit/suite.ts';

function open(addresses: { readonly serviceUrl: string; readonly adminUrl: string }): Cluster {
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  const options = { ...addresses, auth: undefined, tls: undefined, listenerName: undefined, inFlightBytes: 2 ** 24 };
  return openPulsarNative('west', options, deps);
}

const isInstalled = await loadPulsarModule(loadFromNpm).then(
  () => true,
  () => false,
);

function explainAbsence(): void {
  it('the driver native of Pulsar is not tried, because the package pulsar-client is not installed; its check says how to get it', async () => {
    const cluster = open({ serviceUrl: 'pulsar://127.0.0.1:1', adminUrl: 'http://127.0.0.1:1' });
    const items = await cluster.admin.check({ reads: [], writes: [] });
    await cluster.close();
    const client = items.find(({ what }) => what === 'official client');
    expect(client?.ok).toBe(false);
    expect(client?.detail).toContain('npm install pulsar-client');
  });
}

if (isInstalled) describeDriver(pulsarDriver('native of Pulsar', open));
else explainAbsence();
