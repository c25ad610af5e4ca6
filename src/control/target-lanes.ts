/**
 * The target's lanes of a topic by partition number: index = partition. A lane keeps its number for ever, because the list only grows at its end: when a broker goes away the
 * others do not shift, and when one comes its lanes are added behind all others.
 */
export function extendTargetLanes(known: readonly string[], present: readonly string[]): readonly string[] {
  const added = present.filter((lane) => !known.includes(lane));
  return added.length === 0 ? known : [...known, ...added];
}

/**
 * Partition numbers in the order in which the target's own clients count its lanes: by broker name, then by number. Keys are shared out by this order, so that a mirror
 * puts a key where the applications on the target put it.
 */
export function partitionsByName(lanes: readonly string[]): readonly number[] {
  const parts = lanes.map((lane, partition) => ({ partition, ...nameParts(lane) }));
  parts.sort((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : a.number - b.number));
  return parts.map(({ partition }) => partition);
}

/** `broker-a:3` or `3`. */
function nameParts(lane: string): { readonly prefix: string; readonly number: number } {
  const colon = lane.lastIndexOf(':');
  return { prefix: lane.slice(0, Math.max(colon, 0)), number: Number(lane.slice(colon + 1)) };
}
