/** Time is passed in, so that tests can own it. */
export interface Clock {
  /** Milliseconds since 1970; may jump. For stamps, never for waiting. */
  now(): number;
  /** Milliseconds from an arbitrary start; never jumps. */
  monotonic(): number;
  /** Resolves after `millis`, or at once when the signal aborts (it never rejects: look at the signal). */
  sleep(millis: number, signal?: AbortSignal): Promise<void>;
  /** Runs something once after `millis`; the returned function cancels it. */
  timer(millis: number, run: () => void): () => void;
}
