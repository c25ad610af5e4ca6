/** Who uses which server of an offset, told in files, so that test files in several processes at once share servers, and the last one stops what the first one has started. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../../scripts/brokers/lock.ts';

/** A stop of a loaded Pulsar takes half a minute. */
const LOCK_LIMIT_MS = 180_000;
/** The server was started by a tenant: it did not run before them. */
const STARTED = 'started';

export type Tenants<Name extends string> = {
  /** Says that the caller uses these servers. */
  readonly enter: (names: readonly Name[]) => Promise<void>;
  /** Says that the caller has started these. */
  readonly started: (names: readonly Name[]) => Promise<void>;
  /** Takes the caller back from these servers; `stop` gets those that a tenant has started and that nobody uses any more, and none can enter meanwhile. */
  readonly leave: (names: readonly Name[], stop: (unused: readonly Name[]) => Promise<unknown>) => Promise<void>;
};

/** `id` tells the tenants of one process apart. A process that is gone uses nothing, however it ended. */
export function tenants<Name extends string>(folder: string, id: string): Tenants<Name> {
  const mine = `${process.pid}.${id}`;
  const alone = async (work: () => Promise<void> | void): Promise<void> => {
    await withLock(
      join(folder, 'tenants.lock'),
      LOCK_LIMIT_MS,
      () => undefined,
      async () => await work(),
    );
  };
  const directoryOf = (name: Name): string => {
    const directory = join(folder, name);
    mkdirSync(directory, { recursive: true });
    return directory;
  };
  return {
    enter: async (names) =>
      await alone(() => {
        for (const name of names) {
          const directory = directoryOf(name);
          // What a run has left that could not clean up: who starts the server now is said below.
          if (!isUsed(directory)) rmSync(join(directory, STARTED), { force: true });
          writeFileSync(join(directory, mine), '');
        }
      }),
    started: async (names) =>
      await alone(() => {
        for (const name of names) writeFileSync(join(directoryOf(name), STARTED), '');
      }),
    leave: async (names, stop) =>
      await alone(async () => {
        for (const name of names) rmSync(join(directoryOf(name), mine), { force: true });
        const unused = names.filter((name) => !isUsed(directoryOf(name)) && readdirSync(directoryOf(name)).includes(STARTED));
        await stop(unused);
        for (const name of unused) rmSync(join(directoryOf(name), STARTED), { force: true });
      }),
  };
}

/** Whether a tenant lives; those that are gone are taken out. */
function isUsed(directory: string): boolean {
  let used = false;
  for (const file of readdirSync(directory)) {
    if (file === STARTED) continue;
    if (isAlive(Number.parseInt(file, 10))) used = true;
    else rmSync(join(directory, file), { force: true });
  }
  return used;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: there is no such process. Other users' processes are none of ours.
    return false;
  }
}
