import type { LostKey } from './api.ts';

/** So many keys are told apart, and so many characters of them in all are held; the records of the others are only counted. */
const MAX_KEYS = 100_000;
const MAX_KEY_CHARACTERS = 16 * 1024 * 1024;

export interface KeyCount {
  records: number;
  newest: number;
  onTarget: number;
  newestOnTarget: number | null;
}

interface TopicKeys {
  readonly mirror: string;
  readonly topic: string;
  readonly targetTopic: string;
  readonly keys: Map<string, KeyCount>;
}

/** The keys of records that only the lost side has, in bounded memory. */
export class LostKeys {
  readonly #topics = new Map<string, TopicKeys>();
  readonly #most: number;
  #characters = 0;
  count = 0;
  untracked = 0;

  constructor(most: number = MAX_KEYS) {
    this.#most = most;
  }

  get topics(): Iterable<TopicKeys> {
    return this.#topics.values();
  }

  add(place: Omit<TopicKeys, 'keys'>, key: string, time: number): void {
    const name = JSON.stringify([place.mirror, place.topic]);
    let topic = this.#topics.get(name);
    if (topic === undefined) this.#topics.set(name, (topic = { ...place, keys: new Map() }));
    const known = topic.keys.get(key);
    if (known !== undefined) {
      known.records++;
      known.newest = Math.max(known.newest, time);
      return;
    }
    if (this.count >= this.#most || this.#characters + key.length > MAX_KEY_CHARACTERS) {
      this.untracked++;
      return;
    }
    this.count++;
    this.#characters += key.length;
    topic.keys.set(key, { records: 1, newest: time, onTarget: 0, newestOnTarget: null });
  }

  get conflicts(): number {
    let conflicts = 0;
    for (const { keys } of this.#topics.values()) for (const { onTarget } of keys.values()) if (onTarget > 0) conflicts++;
    return conflicts;
  }

  /** At most so many: conflicts first. */
  list(most: number): LostKey[] {
    const list: LostKey[] = [];
    for (const isConflict of [true, false]) {
      for (const { keys, ...place } of this.#topics.values()) {
        for (const [key, counts] of keys) {
          if (list.length >= most) return list;
          if (counts.onTarget > 0 === isConflict) list.push({ ...place, key, ...counts });
        }
      }
    }
    return list;
  }
}
