import { IsthmusError } from '../errors.ts';

/** Something that is wrong with a configuration file or a request body. */
export interface Problem {
  /** For example `links.east-west.mirrors.orders.topics[0]`; empty for the whole. */
  readonly path: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Place in the file, both from 1. */
  readonly line?: number;
  readonly column?: number;
}

export type Path = readonly (string | number)[];

/** A problem before it knows its place in a file. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Point at the key instead of the value. */
  readonly atKey?: boolean;
  /** The message is complete as it is: do not add what the value was. */
  readonly plain?: boolean;
}

/** Where a path stands in a file. */
export type Locate = (path: Path, atKey: boolean) => { readonly line: number; readonly column: number } | undefined;

/** All problems of a configuration, at once. */
export class ConfigError extends IsthmusError {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super(
      'CONFIG_INVALID',
      `${file} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${formatProblems(file, problems)}`,
    );
    this.problems = problems;
  }
}

const PLAIN_KEY = /^[A-Za-z_][\w-]*$/;

export function formatPath(path: Path): string {
  return path
    .map((part) =>
      typeof part === 'number' ? `[${part}]` : PLAIN_KEY.test(part) ? `.${part}` : `[${JSON.stringify(part.slice(0, 80))}]`,
    )
    .join('')
    .replace(/^\./, '');
}

const SECRET_KEYS = new Set(['token', 'accessKey', 'secretKey', 'securityToken', 'password', 'key', 'secret']);
const MAX_SHOWN = 80;

/** The value as it stands in the file, for the message: before references are resolved, and never a secret. */
function shown(path: Path, raw: unknown): string {
  let value = raw;
  for (const part of path) value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined;
  const secret = path.some((part) => typeof part === 'string' && SECRET_KEYS.has(part));
  if (secret || (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')) return '';
  const text = JSON.stringify(typeof value === 'string' ? value.replace(/\/\/[^/@]*@/g, '//***@') : value);
  return `, not ${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text}`;
}

/** Adds to findings what the file says at their place. */
export function toProblems(findings: readonly Finding[], raw: unknown, locate?: Locate): Problem[] {
  return findings.map((finding) => ({
    path: formatPath(finding.path),
    message: finding.plain === true ? finding.message : finding.message + shown(finding.path, raw),
    ...(finding.hint === undefined ? {} : { hint: finding.hint }),
    ...locate?.(finding.path, finding.atKey === true),
  }));
}

/** For people: one problem per line with its place, the hint below. */
export function formatProblems(file: string, problems: readonly Problem[]): string {
  return problems
    .toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
    .map(({ path, message, hint, line, column }) => {
      const place = line === undefined ? file : `${file}:${line}:${column}`;
      return `  ${place}: ${path === '' ? '' : `${path} `}${message}${hint === undefined ? '' : `\n    ${hint}`}`;
    })
    .join('\n');
}

/** The entry of `known` that a misspelt word most probably means. */
export function closest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const ranked = known
    .map((entry) => ({ entry, distance: editDistance(word.toLowerCase(), entry.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit);
  return ranked.toSorted((a, b) => a.distance - b.distance)[0]?.entry;
}

/** Insertions, deletions and replacements needed to turn one word into the other; long words count as far apart. */
function editDistance(a: string, b: string): number {
  if (Math.max(a.length, b.length) > 64) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
