import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Who has a state file open, in a file beside it: the lock itself does not tell, and whoever has started a link twice looks for the other one. It is left when the process ends,
 * and only read while the lock is held.
 */
function holderFile(path: string): string {
  return `${path}-holder`;
}

export function writeHolder(path: string): void {
  writeFileSync(holderFile(path), `${process.pid}\n`);
}

/** For a sentence: ` (pid 4711)`, or nothing where it is not known. */
export function readHolder(path: string): string {
  try {
    const pid = readFileSync(holderFile(path), 'utf8').trim();
    return /^\d{1,10}$/.test(pid) ? ` (pid ${pid})` : '';
  } catch {
    // Not there, or not for us to read: the sentence is right without it.
    return '';
  }
}
