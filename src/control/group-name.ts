import { createHash } from 'node:crypto';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { MirrorKey } from '../spi/state-store.ts';

const MAX_GROUP_NAME = 120;
const GROUP_DIGEST = 10;

/**
 * Our own consumer group at the source; RocketMQ allows letters, digits, `%`, `|`, `-` and `_`, 120 in all. What it stands for is how far *this target* has come, so
 * target cluster and names are part of it: two regions that call their links alike would move each other's second checkpoint, and a mirror that is deleted and
 * added again with other target names would begin in the middle.
 */
export function groupName(
  key: MirrorKey,
  targetCluster: string,
  { rename, renames }: Pick<MirrorSpec, 'rename' | 'renames'>,
): string {
  const names = renames.length === 0 ? rename : `${rename} ${JSON.stringify(renames)}`;
  const name = `isthmus-${key.link}-${key.mirror}-${targetCluster}`;
  const digest = createHash('sha256').update(`${name} ${names}`).digest('hex');
  return `${name.slice(0, MAX_GROUP_NAME - GROUP_DIGEST - 1)}-${digest.slice(0, GROUP_DIGEST)}`;
}

/** Names of the groups of mirrors that bring what is read there to `targetCluster`. Very long names are cut, and are not recognized. Names of clusters hold nothing that has a meaning in a pattern. */
export function reverseGroupPattern(targetCluster: string): RegExp {
  return new RegExp(`^isthmus-.+-${targetCluster}-[0-9a-f]{${GROUP_DIGEST}}$`);
}

/** Whether a group is one of Isthmus' own. */
export function isOwnGroup(group: string): boolean {
  return group.startsWith('isthmus-');
}
