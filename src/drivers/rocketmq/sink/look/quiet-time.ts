/**
 * So long a broker has to answer probes without a pause before what it holds counts as final. Longer than it may keep a send in its queue (`waitTimeMillsInSendQueue`, 200 ms), and
 * than it may be stuck in storing before it turns sends away (`osPageCacheBusyTimeOutMills`, 1000 ms), which the probes then see.
 */
const QUIET_MILLIS = 1_600;
/** So many probes are answered in that time at least: two that took most of a second would tell of little more than two moments. */
const QUIET_PROBES = 8;
/** Where more time is between two answers (a second for the probe, and the step before it), the broker or this process has stood still: the time begins anew. */
const SLOW_STEP_MILLIS = 1_200;

/** Tells from the answers to probes, one after the other, when a broker has been quiet for long enough. All times are monotonic milliseconds. */
export class QuietTime {
  #since: number | undefined;
  #answers = 0;
  #lastAnswerAt: number | undefined;

  /** Notes an answer. The moment before which everything that was sent is settled; `undefined` while that cannot be told. */
  answered(askedAt: number, answeredAt: number): number | undefined {
    const slow = answeredAt - (this.#lastAnswerAt ?? askedAt) > SLOW_STEP_MILLIS;
    this.#lastAnswerAt = answeredAt;
    if (slow) {
      // Counted from its answer: a broker that has just come back to life has taken no step yet with what else it holds, however long it was asked before.
      this.#since = answeredAt;
      this.#answers = 0;
      return undefined;
    }
    this.#since ??= askedAt;
    this.#answers++;
    return this.#answers >= QUIET_PROBES && answeredAt - this.#since >= QUIET_MILLIS ? this.#since : undefined;
  }
}
