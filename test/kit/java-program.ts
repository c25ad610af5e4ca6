/** Small Java programs over the official clients, compiled once into the cache. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { artifacts, cacheDirectory, ensureArtifact } from '../../scripts/brokers/artifacts.ts';
import { javaCommand } from '../../scripts/brokers/tools.ts';

const run = promisify(execFile);

/** Compiles all *.java files of a folder against the official clients, unless that was done before. Returns the class path to run them with. */
export async function compileJava(sourceFolder: string): Promise<string> {
  const cache = cacheDirectory();
  const jars = await clientJars(cache);
  const sources = readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.java'))
    .sort()
    .map((name) => join(sourceFolder, name));
  const digest = createHash('sha256').update(jars);
  for (const source of sources) digest.update(readFileSync(source));
  const folder = join(cache, 'java', digest.digest('hex').slice(0, 16));
  if (!existsSync(folder)) await compileInto(folder, sources, jars);
  return `${folder}:${jars}`;
}

/** The class path of the official clients, fetched first if they are not in the cache. */
async function clientJars(cache: string): Promise<string> {
  const folders: string[] = [];
  for (const name of ['rocketmq', 'pulsar-client'] as const) {
    folders.push(await ensureArtifact(artifacts[name], cache, (line) => process.stderr.write(`${line}\n`)));
  }
  return folders.map((folder) => join(folder, '*')).join(':');
}

async function compileInto(folder: string, sources: readonly string[], jars: string): Promise<void> {
  mkdirSync(join(folder, '..'), { recursive: true });
  // Test files run side by side: each compiles into a folder of its own, and the first to finish wins.
  const draft = mkdtempSync(`${folder}.`);
  try {
    await run(`${javaCommand()}c`, ['-nowarn', '-d', draft, '-cp', jars, ...sources]);
    if (!existsSync(folder)) renameSync(draft, folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new Error('javac was not found: install a JDK, 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)', {
        cause: error,
      });
    }
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
