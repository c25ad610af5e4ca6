import { IsthmusError } from '../../../errors.ts';

/** What fastjson writes: objects may have numbers or whole objects as keys, which `JSON.parse` refuses. */
export type Json = null | boolean | number | string | Json[] | JsonMap;
/** Number keys are kept as their text; object keys as maps. */
export type JsonMap = Map<string | JsonMap, Json>;

const MAX_DEPTH = 64;
const BLANK = /[\u0020\t\r\n]*/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const WORDS: readonly (readonly [string, Json])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/** Parses the JSON of RocketMQ bodies, e.g. `{"offsetTable":{{"queueId":0}:{"maxOffset":5}}}` or `{0:"127.0.0.1:10911"}`. Throws PROTOCOL_VIOLATION. */
export function parseLenientJson(text: string): Json {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

/** The same for a body that has to be an object. */
export function parseJsonObject(body: Buffer): JsonMap {
  const value = parseLenientJson(body.toString('utf8'));
  if (!(value instanceof Map)) throw new IsthmusError('PROTOCOL_VIOLATION', 'reading JSON: the body is not an object');
  return value;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Json {
    if (depth > MAX_DEPTH) throw this.#wrong(`it is nested deeper than ${MAX_DEPTH}`);
    this.#blank();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    return first === '"' ? this.#string() : this.#word();
  }

  end(): void {
    this.#blank();
    if (this.#at < this.#text.length) throw this.#wrong('something follows its end');
  }

  #object(depth: number): JsonMap {
    const map: JsonMap = new Map();
    this.#at++;
    if (this.#take('}')) return map;
    do {
      const key = this.value(depth + 1);
      if (Array.isArray(key)) throw this.#wrong('a list cannot be a key');
      if (!this.#take(':')) throw this.#wrong('a colon is missing');
      map.set(key instanceof Map ? key : String(key), this.value(depth + 1));
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#wrong('a closing brace is missing');
    return map;
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    this.#at++;
    if (this.#take(']')) return items;
    do items.push(this.value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) throw this.#wrong('a closing bracket is missing');
    return items;
  }

  #string(): string {
    const literal = this.#match(STRING);
    if (literal === undefined) throw this.#wrong('a string has no end');
    if (!literal.includes('\\')) return literal.slice(1, -1);
    try {
      return String(JSON.parse(literal));
    } catch (cause) {
      throw this.#wrong('a string is damaged', cause);
    }
  }

  #word(): Json {
    const word = WORDS.find(([text]) => this.#text.startsWith(text, this.#at));
    if (word === undefined) return this.#number();
    this.#at += word[0].length;
    return word[1];
  }

  #number(): number {
    const digits = this.#match(NUMBER);
    if (digits === undefined) throw this.#wrong('a value is missing');
    return Number(digits);
  }

  #take(character: string): boolean {
    this.#blank();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #blank(): void {
    this.#match(BLANK);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #wrong(what: string, cause?: unknown): IsthmusError {
    return new IsthmusError(
      'PROTOCOL_VIOLATION',
      `reading JSON at ${this.#at}: ${what}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** Members of a parsed object, with a harmless value where they are missing or of another type. */
export function mapIn(map: JsonMap, name: string): JsonMap {
  const value = map.get(name);
  return value instanceof Map ? value : new Map();
}

export function listIn(map: JsonMap, name: string): readonly Json[] {
  const value = map.get(name);
  return Array.isArray(value) ? value : [];
}

export function textIn(map: JsonMap, name: string): string {
  const value = map.get(name);
  return typeof value === 'string' ? value : '';
}

/** Numbers may come as text. `fallback` where the member is missing or no safe integer. */
export function numberIn(map: JsonMap, name: string, fallback: number): number {
  const value = map.get(name);
  const number = typeof value === 'number' ? value : typeof value === 'string' && value !== '' ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : fallback;
}
