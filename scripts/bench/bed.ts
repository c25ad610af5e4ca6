/** The brokers and the independent eyes that all measurements share. */

import { startEyes } from '../../test/kit/eyes.ts';
import type { PulsarEyes } from '../../test/kit/pulsar-eyes.ts';
import type { RocketmqEyes } from '../../test/kit/rocketmq-eyes.ts';
import { chooseProvider } from '../brokers/cli.ts';
import { type PulsarEndpoints, pulsarEndpoints, type RocketmqEndpoints, rocketmqEndpoints } from '../brokers/table.ts';

export type Report = (line: string) => void;

export type Bed = {
  readonly source: RocketmqEndpoints;
  readonly target: PulsarEndpoints;
  readonly sourceEyes: RocketmqEyes;
  readonly targetEyes: PulsarEyes;
  /** Arguments for the Node that runs Isthmus. */
  readonly nodeArgs: readonly string[];
  readonly report: Report;
};

export type BedOptions = Pick<Bed, 'nodeArgs' | 'report'> & { readonly offset: number };

const servers = ['rmq-east', 'pulsar-west'] as const;

/**
 * Runs `work` on brokers of its own, without the timer wheel, at the given port offset. What runs there already is used
 * and left; what had to be started is stopped and its data removed afterwards.
 */
export async function withBed<T>({ offset, nodeArgs, report }: BedOptions, work: (bed: Bed) => Promise<T>): Promise<T> {
  const provider = chooseProvider({ offset, report });
  const started = await provider.up(servers);
  try {
    const eyes = await startEyes();
    try {
      const source = rocketmqEndpoints('rmq-east', offset);
      const target = pulsarEndpoints('pulsar-west', offset);
      return await work({
        source,
        target,
        sourceEyes: eyes.rocketmq(source.namesrv),
        targetEyes: eyes.pulsar(target),
        nodeArgs,
        report,
      });
    } finally {
      await eyes.close();
    }
  } finally {
    if (started.length > 0) await provider.down(started, true);
  }
}
