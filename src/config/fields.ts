import { isIP } from 'node:net';
import { z } from 'zod';

/** A value, or why it is not one. Both texts go on after the path: "must be ...". */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string; readonly hint?: string };

/** A text field with a reader of its own, whose refusal becomes the problem; `must` answers values that are no text. */
export function textField<T>(must: string, read: (text: string) => Parsed<T>): z.ZodPipe<z.ZodString, z.ZodTransform<T, string>> {
  return z.string({ error: must }).transform((text, context): T => {
    const parsed = read(text);
    if ('value' in parsed) return parsed.value;
    context.issues.push({ code: 'custom', input: text, message: parsed.wrong, params: { hint: parsed.hint } });
    return z.NEVER;
  });
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

/** Why a name of a region, cluster, link or mirror is refused; `undefined` when it is fine. */
export function nameProblem(name: string): { message: string; hint: string | undefined } | undefined {
  if (NAME.test(name)) return undefined;
  const mended = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64);
  return {
    message: 'must be a name of lower-case letters, digits and inner dashes, at most 64 characters',
    hint: NAME.test(mended) ? `for example "${mended}"` : undefined,
  };
}

/** A name of a region, cluster, link or mirror: it becomes a part of paths, labels, groups and provenance. */
export const name: z.ZodType<string, string> = z.string().superRefine((text, context) => {
  const problem = nameProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem.message, params: { hint: problem.hint } });
});

/** The answer to a size that is no size, also when it is a bare number. */
export const MUST_BE_SIZE = 'must be a size in B, KiB, MiB or GiB';

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** A size as bytes: `48MiB`. */
export function parseSize(text: string): Parsed<number> {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]+)$/.exec(text.trim());
  const unit = UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    const decimal = /^([\d.]+)\s*([kKmMgG])[bB]?$/.exec(text.trim());
    const hint = decimal === null ? 'for example 48MiB' : `did you mean "${decimal[1]}${decimal[2]?.toUpperCase()}iB"?`;
    return { wrong: MUST_BE_SIZE, hint: hint.replace('KIB', 'KiB') };
  }
  return { value: Math.round(Number(match[1]) * unit) };
}

const MILLIS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A length of time as milliseconds: `90s`, `10m`, `72h`, `7d`. */
export function parseDuration(text: string): number | undefined {
  const match = /^([1-9]\d{0,8})([smhd])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (MILLIS[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest way to write whole seconds. */
export function formatDuration(millis: number): string {
  const [unit = 's', size = 1_000] = Object.entries(MILLIS).findLast(([, each]) => millis % each === 0) ?? [];
  return `${Math.round(millis / size)}${unit}`;
}

/** A length of time between two others, all in milliseconds. */
export function durationField(
  shortest: number,
  longest: number,
  example: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const wrong = `must be a duration from ${formatDuration(shortest)} to ${formatDuration(longest)}`;
  return textField(wrong, (text): Parsed<number> => {
    const millis = parseDuration(text);
    return millis === undefined || millis < shortest || millis > longest
      ? { wrong, hint: `for example ${example}` }
      : { value: millis };
  });
}

/** A moment as milliseconds since 1970: ISO 8601 with its zone. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))$/.test(text)) return undefined;
  const millis = Date.parse(text.replace(' ', 'T'));
  return Number.isNaN(millis) ? undefined : millis;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, with the host of an IPv6 address in brackets. */
export function parseHostPort(text: string, lowestPort: number): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/?#@[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < lowestPort || port > 65_535) return undefined;
  if (match?.[1] !== undefined && isIP(host) !== 6) return undefined;
  return { host: host.toLowerCase(), port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** What makes two addresses the same machine and port. */
export function sameAddressKey(address: HostPort): string {
  return formatHostPort({ host: isLoopback(address.host) ? 'localhost' : address.host, port: address.port });
}
