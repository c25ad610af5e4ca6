import { IsthmusError } from '../../errors.ts';
import { within } from '../../lib/abort.ts';
import type { MirrorKey } from '../../spi/state-store.ts';
import type { MirrorHost } from '../readable-mirror.ts';
import { mirrorName } from '../registry.ts';
import type { ReplayControl, ReplayRequest, ReplayStatus } from './api.ts';
import { type ReplayDeps, ReplayRun } from './run.ts';

/** Longer than a mirror needs to close. */
const CLOSE_MILLIS = 9_500;

export interface ReplaysDeps extends ReplayDeps {
  readonly host: Pick<MirrorHost, 'readable'>;
}

/** Replays that run or have run; see ReplayControl. */
export class Replays implements ReplayControl {
  readonly #deps: ReplaysDeps;
  readonly #runs = new Map<string, ReplayRun>();
  #closed = false;

  constructor(deps: ReplaysDeps) {
    this.#deps = deps;
  }

  start(request: ReplayRequest): ReplayStatus {
    const name = mirrorName(request.key);
    if (this.#closed) throw new IsthmusError('CLOSED', 'starting a replay: this process is ending');
    // Whatever is wrong with the mirror's name or clusters is an answer to the request.
    const mirror = this.#deps.host.readable(request.key);
    if (this.#runs.get(name)?.running === true)
      throw new IsthmusError('CONFLICT', `starting a replay of ${name}: one runs already; wait for it, or cancel it`);
    const run = new ReplayRun(request, mirror, this.#deps);
    this.#runs.set(name, run);
    return run.status();
  }

  get(key: MirrorKey): ReplayStatus {
    return this.#run(key).status();
  }

  cancel(key: MirrorKey): ReplayStatus {
    const run = this.#run(key);
    run.cancel();
    return run.status();
  }

  /** Ends all that run. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) run.cancel();
    const ending = Promise.all([...this.#runs.values()].map((run) => run.done));
    await within(ending, this.#deps.clock, CLOSE_MILLIS);
  }

  #run(key: MirrorKey): ReplayRun {
    const run = this.#runs.get(mirrorName(key));
    if (run === undefined)
      throw new IsthmusError('NOT_FOUND', `looking for a replay of ${mirrorName(key)}: there was none since this process began`);
    return run;
  }
}
