/**
 * The servers' programs: fetched once from the public Maven repository, checked against pinned digests, and kept in the cache.
 *
 * A directory of the cache is complete or absent: it is made beside its place, checked, and renamed.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { fileDigest, treeDigest } from './digest.ts';
import { BrokersError, type Report } from './errors.ts';
import { withLock } from './lock.ts';
import { copyArtifact, copyWithDependencies } from './maven.ts';
import { requireTools, type Tool } from './tools.ts';

const run = promisify(execFile);

export const rocketmqVersion = '5.5.0';
export const pulsarVersion = '4.0.8';

export type ArtifactName = 'rocketmq' | 'pulsar' | 'pulsar-client';

export type Artifact = {
  /** Directory name in the cache. */
  readonly id: string;
  readonly title: string;
  /** Digest of the unpacked directory, see {@link treeDigest}. */
  readonly sha256: string;
  readonly fileCount: number;
  readonly source:
    | { readonly kind: 'jars'; readonly coordinates: readonly string[] }
    | {
        readonly kind: 'archive';
        readonly coordinate: string;
        readonly file: string;
        readonly sha512: string;
        readonly members: readonly string[];
      };
};

const archiveRoot = `apache-pulsar-${pulsarVersion}`;

export const artifacts: Readonly<Record<ArtifactName, Artifact>> = {
  rocketmq: {
    id: `rocketmq-${rocketmqVersion}`,
    title: `RocketMQ ${rocketmqVersion} (about 100 MB)`,
    sha256: 'd9c345b5428951d30cc5e0cc1b7c4844a2a3f15f55bbecebb0f5145eb2457535',
    fileCount: 150,
    source: {
      kind: 'jars',
      coordinates: ['proxy', 'namesrv', 'tools', 'client'].map(
        (part) => `org.apache.rocketmq:rocketmq-${part}:${rocketmqVersion}`,
      ),
    },
  },
  pulsar: {
    id: `pulsar-${pulsarVersion}`,
    title: `Pulsar ${pulsarVersion} (245 MB)`,
    sha256: '4a61d7ccdc685b9353308fcb457a245b4ad3d0a96c393a6f1c10b2471c2c2271',
    fileCount: 377,
    source: {
      kind: 'archive',
      coordinate: `org.apache.pulsar:pulsar-server-distribution:${pulsarVersion}:tar.gz:bin`,
      file: `pulsar-server-distribution-${pulsarVersion}-bin.tar.gz`,
      sha512:
        '65b769b10696cdfebf7fc5bcdc95dd663702e27051e616c1a13cb100e91279525be35352171befe7b0011176330aab29bd0a6c8a0f2f0646641af46d2e33cbd6',
      members: ['LICENSE', 'NOTICE', 'bin', 'conf', 'lib'].map((member) => `${archiveRoot}/${member}`),
    },
  },
  'pulsar-client': {
    id: `pulsar-client-${pulsarVersion}`,
    title: `Pulsar's Java client ${pulsarVersion} (about 50 MB)`,
    sha256: '2c1c5399731452b8c448e8e5a4f0357d9810b07c0d944ca33c8484022e550b52',
    fileCount: 18,
    source: { kind: 'jars', coordinates: [`org.apache.pulsar:pulsar-client:${pulsarVersion}`] },
  },
};

/** `$ISTHMUS_CACHE`, else `isthmus` in the user's cache folder. */
export function cacheDirectory(): string {
  const { ISTHMUS_CACHE: own, XDG_CACHE_HOME: xdg } = process.env;
  if (own !== undefined && own !== '') return resolve(own);
  return resolve(xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.cache'), 'isthmus');
}

/** Where an artifact is once {@link ensureArtifact} has resolved. */
export function artifactDirectory(artifact: Artifact, cache: string): string {
  return join(cache, 'artifacts', artifact.id);
}

/** What has to be installed to have these artifacts: nothing for those that are in the cache. */
export function toolsToFetch(wanted: Iterable<Artifact>, cache: string): readonly Tool[] {
  const absent = [...wanted].filter((artifact) => !existsSync(artifactDirectory(artifact, cache)));
  return absent.flatMap((artifact): Tool[] => (artifact.source.kind === 'jars' ? ['java', 'mvn'] : ['java', 'mvn', 'tar']));
}

/**
 * Gives the directory of an artifact, every file of it checked against the pinned digest, fetching it first if it is absent.
 * Throws a {@link BrokersError} if what is in the cache, or what was fetched, is not what was pinned.
 */
export async function ensureArtifact(artifact: Artifact, cache: string, report: Report): Promise<string> {
  const directory = artifactDirectory(artifact, cache);
  if (!existsSync(directory)) {
    const waiting = (): void => report(`waiting for another process that fills ${cache}`);
    await withLock(join(cache, 'lock'), 1_800_000, waiting, async () => {
      if (!existsSync(directory)) await install(artifact, directory, cache, report);
    });
  }
  await verify(artifact, directory, `Remove ${directory} and run the same command again to fetch it anew.`);
  return directory;
}

async function install(artifact: Artifact, directory: string, cache: string, report: Report): Promise<void> {
  await requireTools(toolsToFetch([artifact], cache));
  report(`${artifact.title} is not in the cache yet`);
  const began = performance.now();
  // Under the lock nobody else works here: what lies here is from a run that was killed.
  const scratch = join(cache, 'incomplete');
  await rm(scratch, { recursive: true, force: true });
  const content = join(scratch, artifact.id);
  await mkdir(content, { recursive: true });
  const { source } = artifact;
  if (source.kind === 'jars') await copyWithDependencies(source.coordinates, content, scratch, report);
  else await unpack(source, content, scratch, report);
  await verify(
    artifact,
    content,
    'It was not taken. If the copy in the local Maven repository is damaged, remove it there and run again.',
  );
  await mkdir(join(cache, 'artifacts'), { recursive: true });
  await rename(content, directory);
  await rm(scratch, { recursive: true, force: true });
  report(`${artifact.title} checked and in the cache after ${Math.round((performance.now() - began) / 1000)} s`);
}

async function unpack(
  source: Extract<Artifact['source'], { kind: 'archive' }>,
  content: string,
  scratch: string,
  report: Report,
): Promise<void> {
  await copyArtifact(source.coordinate, scratch, scratch, report);
  const archive = join(scratch, source.file);
  const sha512 = await fileDigest(archive, 'sha512');
  if (sha512 !== source.sha512) {
    throw new BrokersError(
      `${source.file} is not the pinned file: SHA-512 ${sha512}, expected ${source.sha512}. It was not unpacked.`,
    );
  }
  report(`unpacking ${source.file}`);
  await run('tar', ['-xzf', archive, '-C', content, '--strip-components=1', ...source.members]);
}

async function verify(artifact: Artifact, directory: string, remedy: string): Promise<void> {
  const found = await treeDigest(directory);
  if (found.sha256 === artifact.sha256) return;
  throw new BrokersError(
    `${directory} does not hold the pinned files of ${artifact.id}: ${found.fileCount} files with digest ${found.sha256}, ` +
      `expected ${artifact.fileCount} with ${artifact.sha256}.\n${remedy}`,
  );
}
