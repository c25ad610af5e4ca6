/** Following a topic from its end, on either kind of cluster. */
import type { Ask } from './eyes.ts';

/** A message with the moment at which the official client had it in hand, in microseconds since 1970. */
export type Arrival = { readonly id: string | null; readonly micros: number };

type CompactArrival = readonly [id: string | null, micros: number];

/** Resolves when the Java program listens. */
export async function follow(
  ask: Ask,
  request: Readonly<Record<string, unknown>>,
): Promise<{ readonly arrived: Promise<readonly Arrival[]> }> {
  return await new Promise((resolve, reject) => {
    const rows: Arrival[] = [];
    const arrived = ask(request, (row: 'ready' | CompactArrival) => {
      if (row === 'ready') resolve({ arrived });
      else rows.push({ id: row[0], micros: row[1] });
    }).then(() => rows);
    arrived.catch(reject);
  });
}
