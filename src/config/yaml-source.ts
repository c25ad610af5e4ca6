import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Finding, Locate, Path } from './problems.ts';

/** A configuration text as a value, with the place of everything in it. */
export interface YamlSource {
  readonly value: unknown;
  readonly locate: Locate;
  readonly findings: readonly Finding[];
  /** The text could not be read at all; `findings` says why. */
  readonly unreadable: boolean;
}

/** Aliases may multiply nodes; a configuration needs few, a bomb needs many. */
const MAX_ALIASES = 50;

interface Place {
  readonly key: number;
  readonly value: number;
}

const pathKey = (path: Path): string => JSON.stringify(path);

function offsetOf(node: unknown): number | undefined {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : undefined;
}

/** Notes the place of each node, and keys that are there twice (the last would win silently). */
function walk(node: unknown, path: Path, places: Map<string, Place>, findings: Finding[], lines: LineCounter): void {
  if (isMap(node)) {
    for (const pair of node.items) {
      const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
      const below = [...path, name];
      const key = offsetOf(pair.key) ?? 0;
      const before = places.get(pathKey(below));
      if (before === undefined) places.set(pathKey(below), { key, value: offsetOf(pair.value) ?? key });
      else {
        const [first, second] = [lines.linePos(before.key).line, lines.linePos(key).line];
        findings.push({
          path: below,
          message: `is given twice, in lines ${first} and ${second}`,
          hint: 'keep one of them',
          atKey: true,
          plain: true,
        });
        continue;
      }
      walk(pair.value, below, places, findings, lines);
    }
  } else if (isSeq(node)) {
    for (const [i, item] of node.items.entries()) {
      const offset = offsetOf(item) ?? 0;
      places.set(pathKey([...path, i]), { key: offset, value: offset });
      walk(item, [...path, i], places, findings, lines);
    }
  }
}

/** Reads YAML (or JSON, which is YAML). Duplicate keys are findings, not the last one winning. */
export function readYaml(text: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, stringKeys: false });
  const places = new Map<string, Place>();
  const findings: Finding[] = [];
  const contents: Node | null = document.contents;
  walk(contents, [], places, findings, lines);
  const locate: Locate = (path, atKey) => {
    for (let length = path.length; length > 0; length--) {
      const place = places.get(pathKey(path.slice(0, length)));
      if (place !== undefined) return toPlace(lines, atKey || length < path.length ? place.key : place.value);
    }
    return toPlace(lines, offsetOf(contents) ?? 0);
  };
  // An unknown tag (`!secret x`) is only a warning to the parser, which then takes the text behind it for the value.
  const syntax = [...document.errors, ...document.warnings].map((error): Finding => {
    const { line, col } = lines.linePos(error.pos[0]);
    return {
      path: [],
      message: `line ${line}, column ${col}: ${error.message}`,
      hint: 'this is not YAML: look at indentation, quotes and colons',
      plain: true,
    };
  });
  if (syntax.length > 0) return { value: undefined, locate: () => undefined, findings: syntax, unreadable: true };
  if (isAlias(contents)) return { value: undefined, locate, findings, unreadable: false };
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), locate, findings, unreadable: false };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      value: undefined,
      locate,
      findings: [{ path: [], message, hint: 'use fewer aliases', plain: true }],
      unreadable: true,
    };
  }
}

function toPlace(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
