import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Finding, Path } from './problems.ts';

/** The variables that `${NAME}` may name. */
export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_FILE_BYTES = 256 * 1024;
const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FILE = 'file:';

/**
 * How a field may point to a file: `secret` by `file:PATH`; `watched` by `file:PATH` and read again later by its user; `pem` by the path
 * alone. Only the text as written decides, so that the content of a variable never opens a file.
 */
function fileFieldKind(path: Path): 'secret' | 'watched' | 'pem' | undefined {
  const [room, , section, field] = path;
  if (room === 'http' && path.at(-1) === 'token') return 'secret';
  if (room === 'provenance') return 'secret';
  if (room !== 'clusters' || path.length !== 4) return undefined;
  if (section === 'auth') return field === 'token' ? 'watched' : 'secret';
  return section === 'tls' && (field === 'ca' || field === 'cert' || field === 'key') ? 'pem' : undefined;
}

/** Replaces `${NAME}` by the variable; `$${` stands for `${` itself. */
function expand(text: string, path: Path, environment: Environment, findings: Finding[]): string {
  return text.replace(REFERENCE, (whole: string, name: string | undefined) => {
    if (whole === '$${') return '${';
    if (name === undefined || !VARIABLE.test(name) || !whole.endsWith('}')) {
      findings.push({
        path,
        message: `holds a broken reference, ${JSON.stringify(whole)}`,
        hint: 'write ${NAME}, or $${ for the characters themselves',
        plain: true,
      });
      return '';
    }
    const value = environment[name];
    if (value === undefined || value === '') {
      findings.push({
        path,
        message: `needs the environment variable ${name}, which is ${value === undefined ? 'not set' : 'empty'}`,
        hint: `set ${name} before starting`,
        plain: true,
      });
    }
    return value ?? '';
  });
}

function readText(file: string, path: Path, findings: Finding[]): string {
  const refuse = (reason: string): string => {
    findings.push({
      path,
      message: `names the file ${file}, which ${reason}`,
      hint: 'relative paths begin at the folder of the configuration file',
      plain: true,
    });
    return '';
  };
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return refuse('is not a file');
    if (stat.size > MAX_FILE_BYTES) return refuse(`has more than ${MAX_FILE_BYTES} bytes`);
    const text = readFileSync(file, 'utf8').trim();
    return text === '' ? refuse('is empty') : text;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return refuse(code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`);
  }
}

function resolveText(text: string, path: Path, environment: Environment, directory: string, findings: Finding[]): string {
  const expanded = expand(text, path, environment, findings);
  const kind = fileFieldKind(path);
  if (kind === undefined || findings.some((finding) => finding.path === path)) return expanded;
  if (kind === 'pem')
    return expanded.startsWith('-----BEGIN') ? expanded : readText(resolve(directory, expanded), path, findings);
  if (!text.startsWith(FILE)) return expanded;
  const file = resolve(directory, expanded.slice(FILE.length));
  const content = readText(file, path, findings);
  return kind === 'watched' ? FILE + file : content;
}

/** Puts the content of variables and files into a configuration. Where one is missing, a finding says so by its name; no content ever gets into a finding. */
export function resolveReferences(
  raw: unknown,
  environment: Environment,
  directory: string,
): { value: unknown; findings: Finding[] } {
  const findings: Finding[] = [];
  const visit = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') return resolveText(value, path, environment, directory, findings);
    if (Array.isArray(value)) return value.map((item, i) => visit(item, [...path, i]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, below]) => [key, visit(below, [...path, key])]));
  };
  return { value: visit(raw, []), findings };
}
