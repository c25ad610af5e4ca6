import { openTestCluster } from '../../kit/pulsar-writing.ts';
import { pulsarDriver } from './kit/pulsar.ts';
import { describeDriver } from './kit/suite.ts';

describeDriver(pulsarDriver('wire of Pulsar', openTestCluster));
