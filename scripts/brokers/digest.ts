/** Digests of files and of whole directories. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Hex digest of a file's bytes. */
export async function fileDigest(file: string, algorithm: 'sha256' | 'sha512'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

export type TreeDigest = { readonly sha256: string; readonly fileCount: number };

/**
 * One digest over every file below a directory: the SHA-256 of the lines `<sha256>  <path>`, sorted by path. The same as
 * `find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum` in that directory.
 */
export async function treeDigest(directory: string): Promise<TreeDigest> {
  const root = await realpath(directory);
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const total = createHash('sha256');
  for (const path of paths) total.update(`${await fileDigest(join(root, path), 'sha256')}  ${path}\n`);
  return { sha256: total.digest('hex'), fileCount: paths.length };
}
