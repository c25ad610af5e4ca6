/** Programs of the system that the bed needs, and what to say where one is missing. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BrokersError } from './errors.ts';

const run = promisify(execFile);

export type Tool = 'java' | 'mvn' | 'redis-server' | 'bash' | 'tar';

type ToolRow = {
  readonly need: string;
  readonly debian: string;
  readonly elsewhere: string;
  readonly command: () => string;
  readonly versionArgs: readonly string[];
};

const oldestJava = 17;

export function javaCommand(): string {
  const home = process.env['JAVA_HOME'];
  return home === undefined || home === '' ? 'java' : `${home}/bin/java`;
}

const tools: Readonly<Record<Tool, ToolRow>> = {
  java: {
    need: `a Java runtime, ${oldestJava} or newer`,
    debian: 'openjdk-17-jdk-headless',
    elsewhere: 'any JDK 17 or 21, on the PATH or in JAVA_HOME',
    command: javaCommand,
    versionArgs: ['-version'],
  },
  mvn: {
    need: 'Apache Maven 3.6 or newer, which fetches the servers',
    debian: 'maven',
    elsewhere: 'https://maven.apache.org/install.html',
    command: () => 'mvn',
    versionArgs: ['--version'],
  },
  'redis-server': {
    need: 'Redis 6 or newer',
    debian: 'redis-server',
    elsewhere: 'the package "redis" of most systems',
    command: () => 'redis-server',
    versionArgs: ['--version'],
  },
  bash: { need: 'bash', debian: 'bash', elsewhere: 'the package "bash"', command: () => 'bash', versionArgs: ['--version'] },
  tar: { need: 'tar with gzip', debian: 'tar', elsewhere: 'the package "tar"', command: () => 'tar', versionArgs: ['--version'] },
};

/** Throws a {@link BrokersError} with exit code 2 that names everything missing at once and how to install it. */
export async function requireTools(needed: Iterable<Tool>): Promise<void> {
  const checked = await Promise.all([...new Set(needed)].map(async (tool) => ({ tool, problem: await problemOf(tool) })));
  const missing = checked.filter(({ problem }) => problem !== undefined);
  if (missing.length === 0) return;
  const lines = missing.map(
    ({ tool, problem }) => `  ${tool}: ${problem}; needed: ${tools[tool].need} (${tools[tool].elsewhere})`,
  );
  const packages = missing.map(({ tool }) => tools[tool].debian).join(' ');
  throw new BrokersError(
    [
      'Something that the brokers need is not installed:',
      ...lines,
      `On Debian or Ubuntu: sudo apt-get install ${packages}`,
      'Or, where a Docker engine runs, nothing of this is needed: set ISTHMUS_BROKERS=docker',
    ].join('\n'),
    2,
  );
}

async function problemOf(tool: Tool): Promise<string | undefined> {
  const { command, versionArgs } = tools[tool];
  try {
    const { stdout, stderr } = await run(command(), [...versionArgs], { timeout: 30_000 });
    return tool === 'java' ? javaProblem(stdout + stderr) : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return `"${command()}" was not found`;
    return `"${command()} ${versionArgs.join(' ')}" fails: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
}

/** What is wrong with the output of `java -version`; undefined if it is new enough. */
export function javaProblem(output: string): string | undefined {
  const version = /version "([^"]+)"/.exec(output)?.[1];
  if (version === undefined) return 'its version cannot be told';
  // Java 8 and before call themselves 1.8.
  const major = Number(/^(?:1\.)?(\d+)/.exec(version)?.[1]);
  return major >= oldestJava ? undefined : `version ${version} is too old`;
}
