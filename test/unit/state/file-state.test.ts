import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import type { Log, LogFields } from '../../../src/spi/log.ts';
import type { Checkpoint, MirrorKey, StateStore } from '../../../src/spi/state-store.ts';
import { openFileState } from '../../../src/state/file/file-state.ts';
import { openState } from '../../../src/state/open.ts';

const KEY: MirrorKey = { link: 'l', mirror: 'm' };
const quiet = (): void => undefined;
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
const deps = { clock: systemClock, random: Math.random, log };

function checkpoint(lane: string, next: number): Checkpoint {
  return { lane: { topic: 't', lane }, next: offsetPosition(next), targets: {}, time: 1 };
}

/** A process of its own that runs `body` with `store` open on the file. */
function otherProcess(path: string, body: string): ReturnType<typeof spawn> {
  const program = `
    import { openFileState } from ${JSON.stringify(new URL('../../../src/state/file/file-state.ts', import.meta.url).href)};
    const store = openFileState(${JSON.stringify(path)}, { random: Math.random });
    ${body}`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function firstLine(child: ReturnType<typeof spawn>): Promise<string> {
  for await (const chunk of child.stdout ?? []) return String(chunk).trim();
  throw new Error('the process said nothing');
}

// Several tests start processes, which takes long where the machine is busy.
describe('state file', { timeout: 60_000 }, () => {
  let directory: string;
  let path: string;
  const stores: StateStore[] = [];
  const opened = (): StateStore => {
    const store = openFileState(path, deps);
    stores.push(store);
    return store;
  };
  const closed = async (): Promise<void> => {
    for (const store of stores.splice(0)) await store.close();
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'isthmus-state-'));
    path = join(directory, 'state.db');
  });
  afterEach(async () => {
    await closed();
    await rm(directory, { recursive: true });
  });

  it('is refused to a second process while the first one runs, and free after a kill', async () => {
    const first = otherProcess(path, 'console.log(await store.generation()); setInterval(() => undefined, 1_000);');
    const generation = await firstLine(first);
    expect(opened).toThrow(
      expect.objectContaining({
        code: 'STATE_UNAVAILABLE',
        message: expect.stringMatching(/another process \(pid \d+\) has it open/),
      }),
    );
    first.kill('SIGKILL');
    await once(first, 'exit');
    expect(await opened().generation()).toBe(generation);
  });

  it('is waited for while another process has it, whose number the log tells, and opened when that has ended', async () => {
    const first = otherProcess(path, 'console.log(await store.generation()); setInterval(() => undefined, 1_000);');
    const generation = await firstLine(first);
    const reasons: unknown[] = [];
    const waited = Promise.withResolvers<void>();
    const warn = (_: string, fields?: LogFields): void => {
      reasons.push(fields?.['reason']);
      waited.resolve();
    };
    const opening = openState({ kind: 'file', path }, { ...deps, log: { ...log, warn } });
    await waited.promise;
    first.kill('SIGKILL');
    const store = await opening;
    stores.push(store);
    expect(await store.generation()).toBe(generation);
    expect(reasons).toEqual([expect.stringContaining(`another process (pid ${first.pid}) has it open`)]);
  });

  it('is not waited for without end, nor for any other trouble', async () => {
    opened();
    let millis = 0;
    const sleeps: number[] = [];
    const sleep = async (pause: number): Promise<void> => {
      sleeps.push(pause);
      millis += 10_000;
    };
    const hurried = { ...deps, clock: { ...systemClock, monotonic: () => millis, sleep } };
    await expect(openState({ kind: 'file', path }, hurried)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    expect(sleeps).toHaveLength(3);
    await writeFile(join(directory, 'occupied'), '');
    const inside = join(directory, 'occupied', 'state.db');
    await expect(openState({ kind: 'file', path: inside }, hurried)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    expect(sleeps).toHaveLength(3);
  });

  it('is refused to a second store of the same process', () => {
    opened();
    expect(opened).toThrow(expect.objectContaining({ code: 'STATE_UNAVAILABLE' }));
  });

  it('has every answered save after a kill in the middle of saving', async () => {
    const writer = otherProcess(
      path,
      `for (let n = 1; ; n++) {
        const next = { major: n, minor: -1, index: -1 };
        const both = ['0', '1'].map((lane) => ({ lane: { topic: 't', lane }, next, targets: {}, time: 1 }));
        await store.saveCheckpoints(${JSON.stringify(KEY)}, both);
        process.stdout.write(n + '\\n');
        await new Promise(setImmediate);
      }`,
    );
    let said = '';
    const enough = new Promise<void>((resolve) => {
      writer.stdout?.on('data', (data: Buffer) => {
        said += data.toString();
        if (said.length > 2_000) resolve();
      });
    });
    await enough;
    writer.kill('SIGKILL');
    await once(writer, 'close');
    const answered = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
    const [a, b] = await opened().loadCheckpoints(KEY);
    expect(a?.next.major).toBeGreaterThanOrEqual(answered);
    // One save is all or nothing.
    expect(a?.next.major).toBe(b?.next.major);
  });

  it('keeps each save whole: a lane that cannot be written takes the others of its call along', async () => {
    const store = opened();
    await store.saveCheckpoints(KEY, [checkpoint('0', 1)]);
    const unfit = { runs: [], partition: 0, target: offsetPosition(1) };
    const fit = { runs: [{ first: offsetPosition(1), count: 1 }], partition: 0, target: offsetPosition(1) };
    const lane = { topic: 't', lane: '0' };
    const lanes = [
      { lane, entries: [fit] },
      { lane: { topic: 't', lane: '1' }, entries: [unfit] },
    ];
    await expect(store.appendIndex(KEY, lanes)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await store.readIndex(KEY, lane, offsetPosition(0), offsetPosition(9), 9)).toEqual([]);
    await store.saveCheckpoints(KEY, [checkpoint('0', 2)]);
    expect(await store.loadCheckpoints(KEY)).toEqual([checkpoint('0', 2)]);
  });

  it.each([
    ['text', Buffer.from('this is no database, and long enough to be looked at as one. '.repeat(20))],
    ['zeros after a good beginning', undefined],
  ])('says STATE_DAMAGED and what to do about a file of %s', async (_, content) => {
    await fillAndClose();
    if (content !== undefined) await writeFile(path, content);
    else {
      const size = (await stat(path)).size;
      const file = await open(path, 'r+');
      await file.write(Buffer.alloc(size - 200), 0, size - 200, 200);
      await file.close();
    }
    const use = async (): Promise<unknown> => (await opened().loadCheckpoints(KEY)).length;
    await expect(use()).rejects.toMatchObject({ code: 'STATE_DAMAGED', message: expect.stringContaining('What to do') });
  });

  it('says STATE_DAMAGED about values that are not what was written', async () => {
    await fillAndClose();
    const db = new DatabaseSync(path);
    db.exec(`UPDATE checkpoint SET document = replace(document, '"next"', '"nxet"')`);
    db.exec(`UPDATE lane_table SET document = '["a"'`);
    db.exec(`UPDATE registry SET mirror = 'm'`);
    db.exec('UPDATE segment SET chunks = zeroblob(length(chunks))');
    db.close();
    const store = opened();
    const damaged = { code: 'STATE_DAMAGED', message: expect.stringContaining('What to do') };
    await expect(store.loadCheckpoints(KEY)).rejects.toMatchObject(damaged);
    await expect(store.loadLaneTable(KEY, 't')).rejects.toMatchObject(damaged);
    await expect(store.loadRegistry()).rejects.toMatchObject(damaged);
    await expect(store.readIndex(KEY, { topic: 't', lane: '0' }, offsetPosition(0), offsetPosition(9), 9)).rejects.toMatchObject(
      damaged,
    );
  });

  it('leaves the database of another program alone', async () => {
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE theirs (a); PRAGMA user_version = 1');
    db.close();
    const before = await readFile(path);
    expect(opened).toThrow(
      expect.objectContaining({ code: 'STATE_DAMAGED', message: expect.stringContaining('another program') }),
    );
    const after = new DatabaseSync(path);
    expect(after.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'theirs' }]);
    after.close();
    expect((await readFile(path)).length).toBe(before.length);
  });

  it('refuses the file of a newer version and leaves it as it is', async () => {
    await fillAndClose();
    const version = setVersion(99);
    expect(opened).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED', message: expect.stringContaining('version 99') }));
    setVersion(version);
    expect(await opened().loadCheckpoints(KEY)).toHaveLength(1);
  });

  it('says which folder cannot be made', async () => {
    await writeFile(join(directory, 'occupied'), '');
    path = join(directory, 'occupied', 'state.db');
    expect(opened).toThrow(expect.objectContaining({ code: 'STATE_UNAVAILABLE', message: expect.stringContaining(path) }));
  });

  it('takes any path for a plain name, also one that looks like an address', async () => {
    path = join(directory, 'file:a?mode=memory#%41');
    await opened().generation();
    expect((await stat(path)).size).toBeGreaterThan(0);
  });

  async function fillAndClose(): Promise<void> {
    const store = opened();
    await store.saveRegistryEntry({ key: KEY, document: '{}' });
    await store.saveCheckpoints(KEY, [checkpoint('0', 1)]);
    await store.saveLaneTable(KEY, 't', ['0']);
    const entries = [{ runs: [{ first: offsetPosition(1), count: 1 }], partition: 0, target: offsetPosition(1) }];
    await store.appendIndex(KEY, [{ lane: { topic: 't', lane: '0' }, entries }]);
    await closed();
  }

  /** Gives the version that the file had. */
  function setVersion(version: number): number {
    const db = new DatabaseSync(path);
    const former = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
    db.exec(`PRAGMA user_version = ${version}`);
    db.close();
    return former;
  }
});
