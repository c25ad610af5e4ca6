import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** House rules that lint does not know. The rules are functions over (path, text), so that each can be shown to fail. */
type Rule = (path: string, text: string) => string[];

const MAX_LINES = 400;

const notTooLong: Rule = (path, text) => {
  const lines = text.split('\n').length;
  return /\.(ts|js|java|lua)$/.test(path) && lines > MAX_LINES + 1 ? [`${path}: ${lines} lines, more than ${MAX_LINES}`] : [];
};

const noMachinePaths: Rule = (path, text) => find(path, text, /(^|[^A-Za-z0-9._/-])\/(work|root|home\/[a-z]+)\//);
const noLeftovers: Rule = (path, text) =>
  find(path, text, new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX(?!X)'].map((w) => `\\b${w}\\b`).join('|')));
const noFocusedTests: Rule = (path, text) =>
  path.startsWith('test/') ? find(path, text, /\b(it|describe|test)\.(only|skip|todo|fails)\(/) : [];
const noAny: Rule = (path, text) => (path.endsWith('.ts') ? find(path, text, /^(?!\s*(\*|\/[*/])).*(:|\bas|<)\s*any\b/) : []);

/** What each room may import of the others; the same table as the lint rules, checked here over the whole tree at once. */
const ALLOWED: Record<string, readonly string[]> = {
  model: ['model'],
  lib: ['lib', 'spi', 'model'],
  spi: ['spi', 'model', 'lib'],
  wire: ['wire', 'lib'],
  'drivers/rocketmq': ['drivers/rocketmq', 'wire', 'spi', 'lib', 'model'],
  'drivers/pulsar': ['drivers/pulsar', 'wire', 'spi', 'lib', 'model'],
  'drivers/memory': ['drivers/memory', 'spi', 'lib', 'model'],
  mirror: ['mirror', 'spi', 'lib', 'model'],
  control: ['control', 'mirror', 'spi', 'lib', 'model'],
  state: ['state', 'spi', 'lib', 'model'],
  http: ['http', 'control', 'config', 'spi', 'model'],
  metrics: ['metrics', 'spi', 'lib', 'model'],
  config: ['config', 'model'],
  cli: ['cli', 'config', 'control', 'spi', 'model'],
};

/** Each third-party client has one importing folder. */
const HOME: Record<string, string> = {
  ioredis: 'state',
  'node:sqlite': 'state',
  'prom-client': 'metrics',
  pino: 'metrics',
  hono: 'http',
  '@hono/node-server': 'http',
  '@hono/zod-openapi': 'http',
  commander: 'cli',
  yaml: 'config',
  '@node-rs/crc32': 'drivers/pulsar',
  snappy: 'drivers/pulsar',
};

function roomOf(path: string): string | undefined {
  return Object.keys(ALLOWED).find((room) => path.startsWith(`src/${room}/`));
}

const importsFitTheRooms: Rule = (path, text) => {
  const room = roomOf(path);
  if (room === undefined || !path.endsWith('.ts')) return [];
  const problems: string[] = [];
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
    const name = match[1] ?? '';
    if (name.startsWith('.')) {
      const target = new URL(name, `file:///${path}`).pathname.slice(1);
      const targetRoom = roomOf(target);
      const free = target === 'src/errors.ts' && room !== 'model';
      if (!free && (targetRoom === undefined || !ALLOWED[room]?.includes(targetRoom)))
        problems.push(`${path}: ${room} imports ${target}`);
      continue;
    }
    const base = name.startsWith('@')
      ? name.split('/').slice(0, 2).join('/')
      : name.startsWith('node:')
        ? name
        : (name.split('/')[0] ?? '');
    const home = HOME[base];
    if (home !== undefined && home !== room) problems.push(`${path}: ${base} belongs to ${home}`);
  }
  return problems;
};

const RULES: Record<string, Rule> = { notTooLong, noMachinePaths, noLeftovers, noFocusedTests, noAny, importsFitTheRooms };

function find(path: string, text: string, pattern: RegExp): string[] {
  return text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 100)}`] : []));
}

function trackedFiles(): string[] {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
    .split('\n')
    .filter((path) => /\.(ts|js|mjs|java|lua|md|yaml|json)$/.test(path) && path !== 'package-lock.json' && existsSync(path));
}

describe('the house is tidy', () => {
  const files = trackedFiles().map((path) => [path, readFileSync(path, 'utf8')] as const);
  it.each(Object.keys(RULES))('%s holds in every file', (name) => {
    const rule = RULES[name];
    const exempt = name === 'notTooLong' ? 'package-lock.json' : 'test/tidy.test.ts';
    expect(files.flatMap(([path, text]) => (path === exempt ? [] : (rule?.(path, text) ?? [])))).toEqual([]);
  });

  it('names every error code once and every version alike', () => {
    const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
    expect(readFileSync('CHANGELOG.md', 'utf8')).toContain(`## ${version}`);
  });
});

describe('the tidy rules can fail', () => {
  it.each([
    ['notTooLong', 'src/a.ts', '\n'.repeat(500)],
    ['noMachinePaths', 'docs/a.md', 'see /root/x'],
    ['noLeftovers', 'src/a.ts', `// ${'TO'}${'DO'} later`],
    ['noFocusedTests', 'test/a.test.ts', "it.only('x', () => {})"],
    ['noAny', 'src/a.ts', 'let x: any'],
    ['importsFitTheRooms', 'src/mirror/a.ts', "import { x } from '../drivers/pulsar/driver.ts';"],
    ['importsFitTheRooms', 'src/mirror/a.ts', "import Redis from 'ioredis';"],
    ['importsFitTheRooms', 'src/model/a.ts', "import { IsthmusError } from '../errors.ts';"],
  ])('%s refuses a planted fault in %s', (name, path, text) => {
    expect(RULES[name]?.(path, text)).toHaveLength(1);
  });
});
