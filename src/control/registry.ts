import { IsthmusError, toIsthmusError } from '../errors.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { MirrorKey, RegistryEntry, StateStore } from '../spi/state-store.ts';

/** What is kept about a mirror: the whole rule of one that was added at runtime, and whether it is paused. */
export interface RegistryDocument {
  readonly version: 1;
  readonly paused: boolean;
  /** Absent for mirrors of the configuration file. */
  readonly spec?: MirrorSpec;
}

export interface WantedMirror {
  readonly key: MirrorKey;
  readonly spec: MirrorSpec;
  readonly definedBy: 'file' | 'api';
  readonly paused: boolean;
}

export function mirrorName(key: MirrorKey): string {
  return `${key.link}/${key.mirror}`;
}

/** Which mirrors are wanted: those of the file, and those that were added at runtime and kept in the state store. */
export class Registry {
  readonly #store: StateStore;
  readonly #wanted = new Map<string, WantedMirror>();

  constructor(store: StateStore, file: readonly { readonly link: string; readonly spec: MirrorSpec }[]) {
    this.#store = store;
    for (const { link, spec } of file) {
      const key = { link, mirror: spec.name };
      this.#wanted.set(mirrorName(key), { key, spec, definedBy: 'file', paused: false });
    }
  }

  get wanted(): readonly WantedMirror[] {
    return [...this.#wanted.values()];
  }

  /** Rejects with NOT_FOUND. */
  get(key: MirrorKey): WantedMirror {
    const wanted = this.#wanted.get(mirrorName(key));
    if (wanted === undefined) throw new IsthmusError('NOT_FOUND', `looking for the mirror ${mirrorName(key)}: there is none`);
    return wanted;
  }

  has(key: MirrorKey): boolean {
    return this.#wanted.has(mirrorName(key));
  }

  /** Adds what the store holds. A mirror that the file defines now keeps the file's rule. Gives the entries that could not be read. */
  async load(links: ReadonlySet<string>): Promise<string[]> {
    const unread: string[] = [];
    for (const entry of await this.#store.loadRegistry()) {
      const document = readDocument(entry);
      const name = mirrorName(entry.key);
      const file = this.#wanted.get(name);
      if (document === undefined || !links.has(entry.key.link)) unread.push(name);
      else if (file?.definedBy === 'file') this.#wanted.set(name, { ...file, paused: document.paused });
      else if (document.spec !== undefined)
        this.#wanted.set(name, { key: entry.key, spec: document.spec, definedBy: 'api', paused: document.paused });
    }
    return unread;
  }

  /** Keeps a wish in the store first, so that an answer given to a person outlives the process. */
  async put(wanted: WantedMirror): Promise<void> {
    await this.#store.saveRegistryEntry(toEntry(wanted));
    this.#wanted.set(mirrorName(wanted.key), wanted);
  }

  async delete(key: MirrorKey): Promise<void> {
    await this.#store.deleteRegistryEntry(key);
    this.#wanted.delete(mirrorName(key));
  }

  /** Writes everything again: the store was emptied. */
  async rewrite(): Promise<void> {
    for (const wanted of this.#wanted.values()) {
      if (wanted.definedBy === 'api' || wanted.paused) await this.#store.saveRegistryEntry(toEntry(wanted));
    }
  }
}

function toEntry(wanted: WantedMirror): RegistryEntry {
  const document: RegistryDocument = {
    version: 1,
    paused: wanted.paused,
    ...(wanted.definedBy === 'api' ? { spec: wanted.spec } : {}),
  };
  return { key: wanted.key, document: JSON.stringify(document) };
}

function readDocument(entry: RegistryEntry): RegistryDocument | undefined {
  try {
    const document = JSON.parse(entry.document) as Partial<RegistryDocument> | null;
    return document?.version === 1 && typeof document.paused === 'boolean' ? (document as RegistryDocument) : undefined;
  } catch (error) {
    throw new IsthmusError(
      'STATE_DAMAGED',
      `reading the registry entry of ${mirrorName(entry.key)}: ${toIsthmusError(error).message}. Delete it and add the mirror again`,
    );
  }
}
