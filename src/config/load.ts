import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { formatHostPort } from './fields.ts';
import { ConfigError, type Finding, formatPath, toProblems } from './problems.ts';
import { type Environment, resolveReferences } from './references.ts';
import { readConfig } from './schema.ts';
import type { Config, HttpConfig } from './types.ts';
import { readYaml } from './yaml-source.ts';

const MAX_FILE_BYTES = 2 ** 20;

function readFile(path: string): string {
  const refuse = (message: string, hint: string): ConfigError => new ConfigError(path, [{ path: '', message, hint }]);
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw refuse('is a folder', 'name the file in it');
    if (stat.size > MAX_FILE_BYTES) throw refuse(`has more than ${MAX_FILE_BYTES} bytes`, 'this is no configuration file');
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw refuse(code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`, 'name the configuration file with -c FILE');
  }
}

/** Findings about what lies below a broken reference say nothing more. */
function withoutEchoes(findings: readonly Finding[], broken: readonly Finding[]): Finding[] {
  const places = new Set(broken.map((finding) => formatPath(finding.path)));
  return findings.filter((finding) => !finding.path.some((_, i) => places.has(formatPath(finding.path.slice(0, i + 1)))));
}

/**
 * Reads a configuration from its text. Throws a ConfigError (CONFIG_INVALID) with all problems at once.
 * Relative paths in it begin at the folder of `file`.
 */
export function parseConfig(text: string, file: string, environment: Environment): Config {
  const source = readYaml(text);
  const refuse = (findings: readonly Finding[]): ConfigError =>
    new ConfigError(file, toProblems(findings, source.value, source.locate));
  if (source.unreadable) throw refuse(source.findings);
  const directory = dirname(resolve(file));
  const references = resolveReferences(source.value, environment, directory);
  const { config, findings } = readConfig(references.value, (path) => resolve(directory, path));
  const all = [...source.findings, ...references.findings, ...withoutEchoes(findings, references.findings)];
  if (config === undefined || all.length > 0) throw refuse(all);
  return config;
}

/** Reads a configuration file. Throws a ConfigError (CONFIG_INVALID) with all problems at once; nothing has been started then. */
export function loadConfig(path: string, environment: Environment): Config {
  return parseConfig(readFile(path), path, environment);
}

/** Where the HTTP API of a process with this configuration answers, as seen from its own machine. */
export function apiUrl(http: HttpConfig): string {
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host === '::' ? '::1' : http.host;
  return `http://${formatHostPort({ host, port: http.port })}`;
}
