import type { IsthmusError } from '../../../errors.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { Encode, OnAnswer, RemotingConnection } from '../remoting.ts';
import type { Piece } from './outbox.ts';

/** Longer than a broker waits for its disk and its replicas (5 s each). */
const SEND_TIMEOUT_MILLIS = 15_000;
/** So long a request that nobody waits for any more may stay unanswered. Shorter than the time for which a lease is not used before another process may take it. */
const ABANDON_MILLIS = 2_000;

/** A request that stores records, under way. */
export class Sending {
  readonly pieces: readonly Piece[];
  readonly #connection: RemotingConnection;
  /** Nothing of it can be between us and the broker any more. */
  #arrived = false;
  #stopTimer: (() => void) | undefined;

  constructor(pieces: readonly Piece[], connection: RemotingConnection) {
    this.pieces = pieces;
    this.#connection = connection;
  }

  send(frame: Encode, onAnswer: OnAnswer): void {
    this.#connection.call(frame, SEND_TIMEOUT_MILLIS, (answer, error) => {
      // Its own time may be over as well; that says nothing of where the request is.
      this.#arrived = answer !== undefined || this.#connection.closed;
      if (this.#arrived) this.#stopTimer?.();
      onAnswer(answer, error);
    });
  }

  /**
   * Nobody waits for the answer any more. A request without one may lie in buffers between us and the broker, and whoever writes the lane next looks at the queue only once: what
   * arrives after that would be stored twice. So it is taken back with its connection, after a while: other lanes share that, and a broker that answers shall keep it.
   */
  abandon(clock: Clock, reason: IsthmusError): void {
    if (!this.#arrived) this.#stopTimer = clock.timer(ABANDON_MILLIS, () => this.#connection.close(reason));
  }
}
