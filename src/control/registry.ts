import { IsthmusError, toIsthmusError } from '../errors.ts';
import { findEndlessNames } from '../model/endless-names.ts';
import { type LinkSpec, type MirrorSpec, PLAIN_RULES } from '../model/mirror-spec.ts';
import { findCollision } from '../model/topic-overlap.ts';
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
  readonly #links: ReadonlyMap<string, LinkSpec>;
  readonly #wanted = new Map<string, WantedMirror>();

  /** `links`: which clusters they join, by name. */
  constructor(
    store: StateStore,
    file: readonly { readonly link: string; readonly spec: MirrorSpec }[],
    links: ReadonlyMap<string, LinkSpec> = new Map(),
  ) {
    this.#store = store;
    this.#links = links;
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

  /** Adds what the store holds. A mirror that the file defines now keeps the file's rule. Gives the entries that are left out, and why. */
  async load(links: ReadonlySet<string>): Promise<{ readonly name: string; readonly detail: string }[]> {
    const ignored: { name: string; detail: string }[] = [];
    for (const entry of await this.#store.loadRegistry()) {
      const document = readDocument(entry);
      const name = mirrorName(entry.key);
      const file = this.#wanted.get(name);
      if (document === undefined || !links.has(entry.key.link)) {
        ignored.push({ name, detail: 'its link is not in the configuration, or it was written by a newer version' });
      } else if (file?.definedBy === 'file') this.#wanted.set(name, { ...file, paused: document.paused });
      else if (document.spec !== undefined) {
        const spec = { ...PLAIN_RULES, ...document.spec };
        const wanted: WantedMirror = { key: entry.key, spec, definedBy: 'api', paused: document.paused };
        const collision = this.#collision(wanted);
        if (collision === undefined) this.#wanted.set(name, wanted);
        else ignored.push({ name, detail: collision });
      }
    }
    return ignored;
  }

  /** Why a mirror cannot run beside the others of its link; `undefined` when it can. The file may have changed since it was added. */
  #collision(wanted: WantedMirror): string | undefined {
    for (const other of this.#wanted.values()) {
      if (other.key.link !== wanted.key.link || other.key.mirror === wanted.key.mirror) continue;
      const collision = findCollision(other.spec, wanted.spec);
      if (collision === undefined) continue;
      const both = `it and ${mirrorName(other.key)} both`;
      return collision.side === 'source'
        ? `${both} take a topic like "${collision.topic}", whose records would be stored twice; leave it out of one with exclude`
        : `${both} write "${collision.topic}" from different topics, whose order would be mixed; rename one of them`;
    }
    return this.#endlessNames(wanted);
  }

  /** Why its names would make topics without end, together with mirrors of other links. */
  #endlessNames(wanted: WantedMirror): string | undefined {
    const others = [...this.#wanted.values()].filter((other) => mirrorName(other.key) !== mirrorName(wanted.key));
    const flows = [...others, wanted].flatMap(({ key, spec }) => {
      const link = this.#links.get(key.link);
      return link === undefined ? [] : [{ link: key.link, mirror: key.mirror, from: link.from, to: link.to, rule: spec }];
    });
    const endless = findEndlessNames(flows);
    if (endless === undefined) return undefined;
    const { flow, names } = endless;
    return `with ${flow.link}/${flow.mirror} it would make topics out of each other without end: ${names.join(' -> ')} -> ...; keep the same names both ways, or leave the copies out with exclude`;
  }

  /** Keeps a wish in the store first, so that an answer given to a person outlives the process. Rejects with CONFLICT when it cannot run beside the others. */
  async put(wanted: WantedMirror): Promise<void> {
    const unchanged = this.#wanted.get(mirrorName(wanted.key))?.spec === wanted.spec;
    const collision = unchanged ? undefined : this.#collision(wanted);
    if (collision !== undefined) throw new IsthmusError('CONFLICT', `keeping the mirror ${mirrorName(wanted.key)}: ${collision}`);
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
