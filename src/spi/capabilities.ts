import type { MirrorSpec } from '../model/mirror-spec.ts';

/**
 * What a driver can do on its cluster, beyond what every driver does. What it does not offer is refused before it is tried: by `isthmus check`, by the mirror whose rules need
 * it, and by the driver itself. More is declared where it is used: `Source.passesWhole`, `Sink.takesWhole`, `Sink.fences`, `Cluster.groups`.
 */
export interface Capabilities {
  /** `ClusterAdmin.listTopics` knows all topics, so that globs find them. Without it the list is empty, and topics have to be named outright. */
  readonly listsTopics: boolean;
  /** `ClusterAdmin.ensureTopic` makes topics and lets them grow. Without it they have to be there. */
  readonly createsTopics: boolean;
  /**
   * Positions are the cluster's own and lasting: a lane can be read from any of them, in its order, and it is known where lanes begin and end, and where a group stands. Without
   * it a reader counts what it is handed in the order of arrival: a lane begins where the group is, and what was not committed comes again, behind what came after it.
   */
  readonly exactPositions: boolean;
  /** Lanes can be read without a place in a group or subscription (`ReadOptions.onlook`), which comparing and replaying need. */
  readonly readsWithoutGroup: boolean;
  /** A writer's records lie in its partition, in the order of their lane. Without it the cluster itself chooses the partition, and order is kept per key alone. */
  readonly choosesPartition: boolean;
  /**
   * What becomes of a record whose sending was interrupted. `once`: the writer and whoever comes after it find it by its mark. `once-if-deduplicated`: the same, but the client sends again by
   * itself, so that the cluster has to notice copies. `at-least-once`: nothing that is stored can be looked at (`scan` and `tail` tell nothing), so it may be there twice.
   */
  readonly stores: 'once' | 'once-if-deduplicated' | 'at-least-once';
}

/** Those of a driver to which its cluster hides nothing. */
export const ALL_CAPABILITIES: Capabilities = {
  listsTopics: true,
  createsTopics: true,
  exactPositions: true,
  readsWithoutGroup: true,
  choosesPartition: true,
  stores: 'once',
};

/** Rules of a mirror that its source's driver cannot keep, each with what to do. Empty when it can keep them all. */
export function rulesBeyond(source: Capabilities, { topics, start }: Pick<MirrorSpec, 'topics' | 'start'>): string[] {
  const problems: string[] = [];
  const globs = topics.filter((topic) => /[*?]/.test(topic));
  if (!source.listsTopics && globs.length > 0)
    problems.push(
      `topics: the driver of its source cannot list topics, so ${globs.join(', ')} would find none: name each topic outright`,
    );
  if (!source.exactPositions && start !== 'earliest')
    problems.push(
      'start: the driver of its source begins where the consumer group is: leave it out, and set the group’s place there',
    );
  return problems;
}
