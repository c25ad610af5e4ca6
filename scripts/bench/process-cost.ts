/** What a process has cost so far, as the kernel counts it. Linux only; elsewhere all is null. */
import { readFileSync } from 'node:fs';

export type Cost = {
  /** User and system time of all its threads, also of those that have ended; resolution 10 ms. */
  readonly cpuSeconds: number | null;
  /** The most that was ever resident. */
  readonly peakRssMib: number | null;
};

// sysconf(_SC_CLK_TCK); the kernel reports to programs in this unit on every architecture that Node runs on.
const ticksPerSecond = 100;

/** The process must still run. */
export function costOf(pid: number): Cost {
  if (process.platform !== 'linux') return { cpuSeconds: null, peakRssMib: null };
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // proc(5): the name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const peakKib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    peakRssMib: peakKib === undefined ? null : Number(peakKib) / 1024,
  };
}
