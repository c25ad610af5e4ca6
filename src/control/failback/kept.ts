import type { StateStore } from '../../spi/state-store.ts';
import type { FailbackStatus } from './api.ts';
import type { KeptLane } from './listing.ts';

const VERSION = 1;

/** A failback as it is kept in the state store. */
export interface KeptFailback {
  readonly status: FailbackStatus;
  /** Those that stand still, by name: they were listed, and run again at the end. */
  readonly mirrors: readonly string[];
  readonly lanes: readonly KeptLane[];
}

function noteName(link: string): string {
  return `failback/${link}`;
}

export async function saveFailback(store: StateStore, kept: KeptFailback): Promise<void> {
  await store.saveNote(noteName(kept.status.link), JSON.stringify({ version: VERSION, ...kept }));
}

/** `undefined` when there was none, or one of another version of Isthmus. */
export async function loadFailback(store: StateStore, link: string): Promise<KeptFailback | undefined> {
  const text = await store.loadNote(noteName(link));
  if (text === undefined) return undefined;
  const note: unknown = JSON.parse(text);
  if (typeof note !== 'object' || note === null || Reflect.get(note, 'version') !== VERSION) return undefined;
  // Written by `saveFailback` of the same version.
  const { status, mirrors, lanes } = note as KeptFailback;
  return { status, mirrors, lanes };
}
