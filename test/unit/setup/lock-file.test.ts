import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

type Entry = { readonly optionalDependencies?: Readonly<Record<string, string>> };

const lock: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package-lock.json'), 'utf8'));

/** Packages by their path, as `node_modules/a/node_modules/b`. */
function packagesOf(parsed: unknown): Readonly<Record<string, Entry>> {
  if (typeof parsed !== 'object' || parsed === null || !('packages' in parsed)) throw new Error('not a lock file');
  return parsed.packages as Readonly<Record<string, Entry>>;
}

test('the lock file has an entry for every optional package, as npm ci refuses it on all systems otherwise', () => {
  const packages = packagesOf(lock);
  const absent = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`${path}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages),
    ),
  );
  expect(absent).toEqual([]);
});
