/** Runs Maven to copy artifacts of a public repository into a directory, and tells how far it is. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrokersError, type Report } from './errors.ts';

const dependencyPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const reportEveryMs = 3_000;
const errorLinesMax = 8;

/** Copies the jars of these `group:artifact:version` and all that they depend on into `outputDirectory`. */
export async function copyWithDependencies(
  coordinates: readonly string[],
  outputDirectory: string,
  scratch: string,
  report: Report,
): Promise<void> {
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(scratch, 'pom.xml'), pom(coordinates));
  await maven(
    [`${dependencyPlugin}:copy-dependencies`, `-DoutputDirectory=${outputDirectory}`, '-DincludeScope=runtime'],
    scratch,
    report,
  );
}

/** Copies one artifact, `group:artifact:version:packaging:classifier`, into `outputDirectory`. */
export async function copyArtifact(coordinate: string, outputDirectory: string, scratch: string, report: Report): Promise<void> {
  mkdirSync(scratch, { recursive: true });
  await maven([`${dependencyPlugin}:copy`, `-Dartifact=${coordinate}`, `-DoutputDirectory=${outputDirectory}`], scratch, report);
}

function pom(coordinates: readonly string[]): string {
  const dependencies = coordinates.map((coordinate) => {
    const [group, artifact, version] = coordinate.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  });
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>',
    '<groupId>isthmus</groupId><artifactId>brokers</artifactId><version>1</version><packaging>pom</packaging>',
    `<dependencies>${dependencies.join('\n')}</dependencies></project>`,
  ].join('\n');
}

async function maven(args: readonly string[], directory: string, report: Report): Promise<void> {
  const began = performance.now();
  const progress = mavenProgress();
  const errors: string[] = [];
  const child = spawn('mvn', ['-Dstyle.color=never', ...args], { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  const say = (): void => {
    const seconds = Math.round((performance.now() - began) / 1000);
    report(`fetching with Maven: ${(progress.bytes() / 1e6).toFixed(0)} MB in ${progress.fileCount()} files, ${seconds} s`);
  };
  const timer = setInterval(say, reportEveryMs);
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    // Maven redraws its progress line with carriage returns.
    const lines = (rest + chunk).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      progress.see(line);
      if (line.startsWith('[ERROR]') && errors.length < errorLinesMax) errors.push(line);
    }
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (progress.fileCount() > 0) say();
    if (code !== 0) {
      throw new BrokersError(
        [
          'Maven could not fetch what the brokers need:',
          ...errors,
          'Run the same command again: it goes on where it stopped.',
        ].join('\n'),
      );
    }
  } finally {
    clearInterval(timer);
  }
}

const unitBytes: Readonly<Record<string, number>> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };

/** Adds up what Maven's output says it has downloaded, the files under way included. */
export function mavenProgress(): {
  readonly see: (line: string) => void;
  readonly bytes: () => number;
  readonly fileCount: () => number;
} {
  let doneBytes = 0;
  let doneFiles = 0;
  let underWayBytes = 0;
  return {
    see: (line) => {
      const done = /Downloaded from .* \(([\d.]+) ([kMG]?B) at /.exec(line);
      if (done !== null) {
        doneBytes += Number(done[1]) * (unitBytes[done[2] ?? ''] ?? 0);
        doneFiles += 1;
        underWayBytes = 0;
      } else if (line.startsWith('Progress (')) {
        // "Progress (2): 91 kB | 4.1/16 kB"
        const parts = line.matchAll(/([\d.]+)(?:\/[\d.]+)? ([kMG]?B)/g);
        underWayBytes = [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitBytes[unit ?? ''] ?? 0), 0);
      }
    },
    bytes: () => doneBytes + underWayBytes,
    fileCount: () => doneFiles,
  };
}
