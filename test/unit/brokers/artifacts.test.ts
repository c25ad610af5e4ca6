import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Artifact, artifactDirectory, artifacts, ensureArtifact, toolsToFetch } from '../../../scripts/brokers/artifacts.ts';
import { treeDigest } from '../../../scripts/brokers/digest.ts';
import { mavenProgress } from '../../../scripts/brokers/maven.ts';

let cache: string;
let artifact: Artifact;

beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), 'isthmus-cache-'));
  const directory = join(cache, 'artifacts', 'sample-1');
  mkdirSync(join(directory, 'lib'), { recursive: true });
  writeFileSync(join(directory, 'lib', 'b.jar'), 'bytes of b');
  writeFileSync(join(directory, 'a.jar'), 'bytes of a');
  artifact = { id: 'sample-1', title: 'Sample', ...(await treeDigest(directory)), source: { kind: 'jars', coordinates: [] } };
});

afterEach(() => {
  rmSync(cache, { recursive: true, force: true });
});

const silent = (): void => {};

describe('a cached artifact', () => {
  test('is taken as it is when every file is the pinned one', async () => {
    await expect(ensureArtifact(artifact, cache, silent)).resolves.toBe(artifactDirectory(artifact, cache));
  });

  test('needs no Maven', () => {
    expect(toolsToFetch([artifact], cache)).toEqual([]);
    expect(toolsToFetch([artifacts.pulsar], cache)).toEqual(['java', 'mvn', 'tar']);
  });

  test.each([
    ['a file was corrupted', () => writeFileSync(join(artifactDirectory(artifact, cache), 'lib', 'b.jar'), 'bytes of B')],
    ['a file is missing', () => rmSync(join(artifactDirectory(artifact, cache), 'a.jar'))],
    ['a file was added', () => writeFileSync(join(artifactDirectory(artifact, cache), 'c.jar'), '')],
  ])('is refused when %s, and the message says what to remove', async (_what, damage) => {
    damage();
    await expect(ensureArtifact(artifact, cache, silent)).rejects.toThrow(
      new RegExp(`does not hold the pinned files of sample-1[^]*expected 2 with ${artifact.sha256}[^]*Remove .*sample-1`),
    );
  });
});

test('the digest of a directory does not depend on the order in which its files were made', async () => {
  const other = join(cache, 'other');
  mkdirSync(join(other, 'lib'), { recursive: true });
  writeFileSync(join(other, 'a.jar'), 'bytes of a');
  writeFileSync(join(other, 'lib', 'b.jar'), 'bytes of b');
  expect(await treeDigest(other)).toEqual({ sha256: artifact.sha256, fileCount: 2 });
});

test('progress adds up finished files and those under way', () => {
  const progress = mavenProgress();
  progress.see('Downloading from central: https://repo.example/a.jar');
  progress.see('Progress (2): 91 kB | 4.1/16 kB');
  expect(progress.bytes()).toBeCloseTo(95_100);
  progress.see('Downloaded from central: https://repo.example/a.jar (6.7 MB at 36 MB/s)');
  expect(progress.bytes()).toBeCloseTo(6_700_000);
  progress.see('Progress (1): 1.0/2.0 MB');
  expect(progress.bytes()).toBeCloseTo(7_700_000);
  expect(progress.fileCount()).toBe(1);
});
