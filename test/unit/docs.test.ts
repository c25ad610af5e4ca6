import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { PROPERTY_RULES } from '../../src/drivers/rocketmq/message/properties.ts';
import { ERROR_CODES } from '../../src/errors.ts';

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' }).map((page) => join('docs', page)),
].filter((page) => page.endsWith('.md'));

/** Targets of relative links and files named in code marks that look like paths of this repository. */
function namedPaths(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map((match) => join(dirname(page), match[1] ?? ''));
  const files = [...text.matchAll(/`((?:src|test|docs|scripts|config|deploy|bench)\/[\w./-]+\.\w+)`/g)].map(
    (match) => match[1] ?? '',
  );
  return [...links, ...files];
}

describe('the documentation', () => {
  it.each(pages)('%s names only what exists', (page) => {
    expect(namedPaths(page).filter((path) => !existsSync(path))).toEqual([]);
  });

  it('shows configurations that are valid', () => {
    const blocks = ['README.md', 'docs/CONFIGURATION.md'].flatMap((page) =>
      [...readFileSync(page, 'utf8').matchAll(/```yaml\n([^]*?)```/g)].map((match) => [page, match[1] ?? ''] as const),
    );
    const files = ['deploy/isthmus.yaml', 'config/local.yaml'].map((file) => [file, readFileSync(file, 'utf8')] as const);
    const environment = { ISTHMUS_TOKEN: 'a-token-for-this-test' };
    for (const [name, text] of [...blocks, ...files]) expect(() => parseConfig(text, name, environment), name).not.toThrow();
    expect(blocks.length).toBeGreaterThan(1);
  });

  it('says what to do for every code of an error', () => {
    const page = readFileSync('docs/OPERATING.md', 'utf8');
    expect(Object.keys(ERROR_CODES).filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  it('says of every property that RocketMQ uses whether it is kept or dropped, as the code does', () => {
    const rows = readFileSync('docs/FIDELITY.md', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const wrong = PROPERTY_RULES.filter(({ name, role }) => {
      const row = rows.find((line) => line.split('|')[1]?.includes(`\`${name}\``));
      if (row === undefined) return !['keys', 'tags', 'sharding-key'].includes(role);
      return (role === 'dropped') !== (row.split('|')[2]?.trim() === 'dropped');
    });
    expect(wrong).toEqual([]);
  });
});
