import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { broken, GOOD, problemsOf } from './kit.ts';

describe('a Pulsar cluster', () => {
  const driver = (name: string, more = ''): string => broken('type: pulsar,', `type: pulsar, driver: ${name},${more}`);

  it('is reached over the wire unless the official client is asked for', () => {
    const driverOf = (text: string): unknown => parseConfig(text, '/etc/isthmus/west.yaml', {}).clusters['pulsar-west'];
    expect(driverOf(GOOD)).toMatchObject({ driver: 'wire' });
    expect(driverOf(driver('native'))).toMatchObject({ driver: 'native' });
  });

  it('has a driver that is known, and no server name that the official client would not look at', () => {
    expect(problemsOf(driver('pigeon')).map(({ path }) => path)).toEqual(['clusters.pulsar-west.driver']);
    const named = driver('native', ' tls: { serverName: west },').replace('pulsar://', 'pulsar+ssl://');
    expect(problemsOf(named).map(({ path }) => path)).toEqual(['clusters.pulsar-west.tls.serverName']);
  });
});
