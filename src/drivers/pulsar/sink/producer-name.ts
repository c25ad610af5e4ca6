import { createHash } from 'node:crypto';
import type { WriterOptions } from '../../../spi/sink.ts';

const MAX_LENGTH = 200;
const HASH_LENGTH = 16;

/**
 * The name of the producer that writes a lane. The same in every process: a broker lets only one living connection have it, per topic, which keeps a second
 * process out. The target partition is not in it because names are per topic, and a partition is a topic.
 */
export function producerName({ link, sourceCluster, lane }: Pick<WriterOptions, 'link' | 'sourceCluster' | 'lane'>): string {
  const name = ['isthmus', link, sourceCluster, lane.topic, lane.lane].map(escapePart).join('/');
  if (name.length <= MAX_LENGTH) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_LENGTH);
  return `${name.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}-${hash}`;
}

/** Parts may hold slashes themselves: without the escape two lanes could meet in one name. The tilde belongs to `otherSenderName`. */
function escapePart(part: string): string {
  return part.replace(/[%/~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * Another name for the same writer, to send under when a deduplicating broker swallows what comes under its own. Random, so that it is new to every
 * broker; it begins with the writer's name, so that the batches are known as its own.
 */
export function otherSenderName(name: string, random: () => number): string {
  return `${name.split('~', 1)[0]}~${Math.floor(random() * 2 ** 32).toString(36)}`;
}

/** Whether an entry's producer name is `name` or another name of the same writer. */
export function isSenderOf(name: string, sender: string): boolean {
  return sender === name || sender.startsWith(`${name}~`);
}
