import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Tenants, tenants } from '../../kit/tenants.ts';

let folder: string;
let first: Tenants<'a' | 'b'>;
let second: Tenants<'a' | 'b'>;
let stopped: string[];

const stop = async (names: readonly string[]): Promise<void> => {
  stopped.push(...names);
  await Promise.resolve();
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-tenants-'));
  first = tenants(folder, 'first');
  second = tenants(folder, 'second');
  stopped = [];
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the last tenant of a server', () => {
  it('stops what the first one has started', async () => {
    await first.enter(['a', 'b']);
    await first.started(['a', 'b']);
    await second.enter(['a']);
    await second.started([]);
    await first.leave(['a', 'b'], stop);
    expect(stopped).toEqual(['b']);
    await second.leave(['a'], stop);
    expect(stopped).toEqual(['b', 'a']);
  });

  it('leaves alone what ran before all of them', async () => {
    await first.enter(['a']);
    await first.started([]);
    await first.leave(['a'], stop);
    expect(stopped).toEqual([]);
  });

  it('does not wait for one that has died', async () => {
    await first.enter(['a']);
    await first.started(['a']);
    // Beyond the largest process id of Linux.
    writeFileSync(join(folder, 'a', '4194305.dead'), '');
    await first.leave(['a'], stop);
    expect(stopped).toEqual(['a']);
  });

  it('does not stop what somebody else has started after a run that died', async () => {
    await first.enter(['a']);
    await first.started(['a']);
    rmSync(join(folder, 'a', `${process.pid}.first`));
    await second.enter(['a']);
    await second.started([]);
    await second.leave(['a'], stop);
    expect(stopped).toEqual([]);
  });
});
