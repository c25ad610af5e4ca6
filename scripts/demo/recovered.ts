import { readFileSync } from 'node:fs';

/**
 * How many messages the newest process of a log found in the target beyond its last checkpoint: stored by the one that was killed,
 * and therefore not written again.
 */
export function foundInTarget(logFile: string): number {
  let found = 0;
  for (const line of readFileSync(logFile, 'utf8').split('\n')) {
    const { event, foundRecords } = parse(line);
    if (event === 'started') found = 0;
    else if (event === 'lane-recovered' && typeof foundRecords === 'number') found += foundRecords;
  }
  return found;
}

function parse(line: string): { readonly event?: unknown; readonly foundRecords?: unknown } {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    // SIGKILL leaves half a line, and Node writes its own warnings as plain text.
    return {};
  }
}
