import { createHash } from 'node:crypto';
import type { WriterOptions } from '../../../spi/sink.ts';

const MAX_LENGTH = 200;
const HASH_LENGTH = 16;

/**
 * The name of the producer that writes a lane. The same in every process: a broker lets only one living connection have it, per topic, which keeps a second
 * process out. The target partition is not in it because names are per topic, and a partition is a topic.
 */
export function producerName({ link, sourceCluster, lane }: Pick<WriterOptions, 'link' | 'sourceCluster' | 'lane'>): string {
  // Names may hold slashes themselves: without the escape two lanes could meet in one name.
  const name = ['isthmus', link, sourceCluster, lane.topic, lane.lane]
    .map((part) => part.replace(/[%/~]/g, encodeURIComponent))
    .join('/');
  if (name.length <= MAX_LENGTH) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_LENGTH);
  return `${name.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}-${hash}`;
}
