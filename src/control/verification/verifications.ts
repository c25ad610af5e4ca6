import { IsthmusError } from '../../errors.ts';
import { within } from '../../lib/abort.ts';
import { randomSuffix } from '../../lib/random.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import { expectLooks } from '../readable-mirror.ts';
import { mirrorName } from '../registry.ts';
import type { VerificationControl, VerificationRequest, VerificationStatus } from './api.ts';
import { VerificationRun, type VerificationRunDeps } from './run.ts';

const MAX_RUNNING = 2;
const MAX_KEPT = 20;
const CLOSE_MILLIS = 2_000;

export interface VerificationsDeps extends VerificationRunDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** Comparisons that run or have run; see VerificationControl. A few at a time, because each reads whole topics; they are not kept over a restart. */
export class Verifications implements VerificationControl {
  readonly #deps: VerificationsDeps;
  readonly #runs = new Map<string, VerificationRun>();
  #count = 0;
  #closed = false;

  constructor(deps: VerificationsDeps) {
    this.#deps = deps;
  }

  start(request: VerificationRequest): VerificationStatus {
    if (this.#closed) throw new IsthmusError('CLOSED', 'starting a verification: this process is ending');
    // Whatever is wrong with the mirror's name or clusters is an answer to the request.
    const { link, source, spec } = this.#deps.host.readable(request.key);
    expectLooks(link, source);
    const { dedup } = spec;
    if (request.repair && dedup !== undefined && dedup.id.kind !== 'origin')
      throw new IsthmusError(
        'INVALID_REQUEST',
        'starting a verification: a mirror whose dedup window goes by other ids than the origin is not repaired, because what the window has left out would be sent',
      );
    if (request.from !== undefined && request.to !== undefined && request.from >= request.to)
      throw new IsthmusError('INVALID_REQUEST', 'starting a verification: `from` must be before `to`');
    const running = [...this.#runs.values()].filter((run) => run.running);
    const name = mirrorName(request.key);
    if (running.some((run) => mirrorName(run.request.key) === name))
      throw new IsthmusError(
        'CONFLICT',
        `starting a verification of ${name}: one of this mirror runs; wait for it, or cancel it`,
      );
    if (running.length >= MAX_RUNNING)
      throw new IsthmusError(
        'CONFLICT',
        `starting a verification: ${running.length} run already; wait for one to end, or cancel it`,
      );
    this.#forgetOld();
    const id = this.#newId();
    const run = new VerificationRun(id, request, this.#deps);
    this.#runs.set(id, run);
    return run.status();
  }

  list(): VerificationStatus[] {
    return [...this.#runs.values()].map((run) => run.status()).reverse();
  }

  get(id: string): VerificationStatus {
    return this.#run(id).status();
  }

  remove(id: string): void {
    const run = this.#run(id);
    if (run.running) run.cancel();
    else this.#runs.delete(id);
  }

  /** Ends all that run. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) run.cancel();
    const ending = Promise.all([...this.#runs.values()].map((run) => run.done));
    if (!(await within(ending, this.#deps.clock, CLOSE_MILLIS)))
      this.#deps.log.warn('left-behind', { afterMillis: CLOSE_MILLIS });
  }

  #run(id: string): VerificationRun {
    const run = this.#runs.get(id);
    if (run === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        'looking for a verification: there is none of this id (only the newest are kept, and none over a restart)',
      );
    return run;
  }

  /** Unlike that of any other process, so that nobody takes the result of one for that of another after a restart. */
  #newId(): string {
    return `${++this.#count}-${randomSuffix(this.#deps.random)}`;
  }

  #forgetOld(): void {
    for (const [id, run] of this.#runs) {
      if (this.#runs.size < MAX_KEPT) return;
      if (!run.running) this.#runs.delete(id);
    }
  }
}
