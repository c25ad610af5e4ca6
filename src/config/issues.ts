import type { z } from 'zod';
import { closest, type Finding, type Path } from './problems.ts';

/** Fields of the design that are known and come later. */
const NOT_YET = new Set(['captures', 'driver']);
/** Fields that are known elsewhere, and where. */
const ELSEWHERE: Readonly<Record<string, string>> = { groups: 'it belongs to the link, beside "mirrors"' };

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping with keys',
  record: 'a mapping with keys',
  null: 'empty',
  undefined: 'missing',
};

const kindOf = (name: string): string => KINDS[name] ?? name;

function kindOfValue(value: unknown): string {
  if (value === null) return 'empty';
  return kindOf(Array.isArray(value) ? 'array' : typeof value);
}

function unknownKey(path: Path, key: string, known: readonly string[]): Finding {
  const guess = closest(
    key,
    known.filter((entry) => entry !== key),
  );
  const hint = NOT_YET.has(key)
    ? `this version does not have "${key}" yet; leave it out`
    : (ELSEWHERE[key] ?? (guess === undefined ? `known here: ${known.join(', ')}` : `did you mean "${guess}"?`));
  return { path: [...path, key], message: 'is not a known key', hint, atKey: true, plain: true };
}

function oneOf(path: Path, values: readonly unknown[], value: unknown): Finding {
  const texts = values.map(String);
  const guess = typeof value === 'string' ? closest(value, texts) : undefined;
  const must = texts.length === 1 ? `must be ${texts[0]}` : `must be one of ${texts.join(', ')}`;
  return {
    path,
    message: value === undefined ? `is missing; it ${must}` : must,
    ...(guess === undefined ? {} : { hint: `did you mean "${guess}"?` }),
  };
}

function wrongType(path: Path, expected: string, value: unknown): Finding {
  const wanted = kindOf(expected);
  if (value === undefined) return { path, message: `is missing; it must be ${wanted}` };
  const hint = expected === 'array' && typeof value === 'string' ? 'write it in brackets, also when it is one: [a]' : undefined;
  const scalar = ['string', 'number', 'boolean'].includes(typeof value);
  return { path, message: `must be ${wanted}${scalar ? '' : `, but is ${kindOfValue(value)}`}`, hint };
}

function wrongSize(path: Path, issue: { origin: string; minimum?: number | bigint; maximum?: number | bigint }): Finding {
  const bound = issue.minimum === undefined ? `at most ${issue.maximum}` : `at least ${issue.minimum}`;
  if (issue.origin === 'string') {
    if (issue.minimum === 1) return { path, message: 'must not be empty', plain: true };
    return { path, message: `must have ${bound} characters`, plain: true };
  }
  if (issue.origin === 'array')
    return {
      path,
      message: `must have ${bound} ${issue.minimum === 1 || issue.maximum === 1 ? 'entry' : 'entries'}`,
      plain: true,
    };
  return { path, message: `must be ${bound}` };
}

/** The keys that the schema knows at a path of the value, for hints about a misspelt one. */
function knownKeys(schema: unknown, path: Path, value: unknown): string[] {
  const def = definition(schema);
  if (def === undefined) return [];
  if (def.innerType !== undefined) return knownKeys(def.innerType, path, value);
  if (def.in !== undefined) return knownKeys(def.in, path, value);
  if (def.options !== undefined) {
    return [...new Set(def.options.filter((option) => fits(option, value)).flatMap((option) => knownKeys(option, path, value)))];
  }
  const [head, ...rest] = path;
  if (head === undefined) return Object.keys(def.shape ?? {});
  const below = def.shape?.[String(head)] ?? def.valueType ?? def.element;
  const inner: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, head) : undefined;
  return knownKeys(below, rest, inner);
}

/** The parts of zod's schema definitions that are walked here. */
interface Definition {
  readonly innerType?: unknown;
  readonly in?: unknown;
  readonly options?: readonly unknown[];
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly valueType?: unknown;
  readonly element?: unknown;
  readonly values?: readonly unknown[];
}

function definition(schema: unknown): Definition | undefined {
  return typeof schema === 'object' && schema !== null && 'def' in schema ? (schema.def as Definition) : undefined;
}

/** Whether the literals of an option (its discriminator) agree with the value. */
function fits(option: unknown, value: unknown): boolean {
  return Object.entries(definition(option)?.shape ?? {}).every(([key, field]) => {
    const values = definition(field)?.values;
    return values === undefined || (typeof value === 'object' && value !== null && values.includes(Reflect.get(value, key)));
  });
}

function toFindings(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown, base: Path): Finding[] {
  const inner = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const path = [...base, ...inner];
  let at: unknown = value;
  for (const part of inner) at = typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined;
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, inner, value);
      return issue.keys.map((key) => unknownKey(path, key, known));
    }
    case 'invalid_type':
      // A field that is more than its type says so itself; zod's own texts are not for people.
      return [
        issue.message.startsWith('Invalid')
          ? wrongType(path, issue.expected, at)
          : { path, message: at === undefined ? `is missing; it ${issue.message}` : issue.message },
      ];
    case 'invalid_value':
      return [oneOf(path, issue.values, at)];
    case 'too_small':
    case 'too_big':
      return [wrongSize(path, issue)];
    case 'invalid_union': {
      // The only alternative of the right kind says best what is wrong in it.
      const near = issue.errors.filter((list) => list.every((each) => each.path.length > 0 || each.code === 'unrecognized_keys'));
      if (near.length === 1 && typeof at === 'object')
        return (near[0] ?? []).flatMap((each) =>
          toFindings({ ...each, path: [...issue.path, ...each.path] }, schema, value, base),
        );
      return [at === undefined ? { path, message: `is missing; it ${issue.message}` } : { path, message: issue.message }];
    }
    case 'invalid_key':
      return issue.issues
        .flatMap((below) => toFindings({ ...below, path: [] }, schema, undefined, path))
        .map((finding) => ({ ...finding, atKey: true, plain: true }));
    case 'custom': {
      const hint: unknown = issue.params?.['hint'];
      return [
        {
          path,
          message: issue.message,
          hint: typeof hint === 'string' ? hint : undefined,
          plain: issue.params?.['plain'] === true,
        },
      ];
    }
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
      return [{ path, message: issue.message }];
  }
}

/** What is right of a section, and what is wrong with it. */
export interface Section<T> {
  /** Fields that are right by themselves, so that rules across fields can be checked even when another field is wrong. */
  readonly fields: Partial<T>;
  /** All fields, when all are right. */
  readonly whole: T | undefined;
  readonly findings: readonly Finding[];
}

/** Validates one mapping of the configuration. */
export function readSection<S extends z.ZodObject>(schema: S, value: unknown, base: Path): Section<z.output<S>> {
  const result = schema.safeParse(value);
  if (result.success) return { fields: result.data, whole: result.data, findings: [] };
  const findings = result.error.issues.flatMap((issue) => toFindings(issue, schema, value, base));
  const fields: Record<string, unknown> = {};
  if (typeof value === 'object' && value !== null) {
    for (const [name, field] of Object.entries(schema.shape)) {
      const one = (field as z.ZodType).safeParse(Reflect.get(value, name));
      if (one.success) fields[name] = one.data;
    }
  }
  return { fields: fields as Partial<z.output<S>>, whole: undefined, findings };
}
