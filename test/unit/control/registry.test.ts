import { describe, expect, it } from 'vitest';
import { Registry, type WantedMirror } from '../../../src/control/registry.ts';
import { type MirrorSpec, PLAIN_RULES } from '../../../src/model/mirror-spec.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';

const spec = (name: string, topics: readonly string[], fields: Partial<MirrorSpec> = {}): MirrorSpec => ({
  name,
  topics,
  exclude: [],
  rename: 'persistent://public/default/{topic}',
  start: 'earliest',
  routing: { mode: 'identity' },
  filter: { tags: [], properties: {} },
  onBadRecord: 'stop-lane',
  deadLetterTopic: 'persistent://public/default/{topic}-dead-letter',
  batching: 'auto',
  compression: 'none',
  retentionMinutes: undefined,
  ...PLAIN_RULES,
  ...fields,
});

const ofApi = (mirror: MirrorSpec, paused = false): WantedMirror => ({
  key: { link: 'east-west', mirror: mirror.name },
  spec: mirror,
  definedBy: 'api',
  paused,
});

const names = (registry: Registry): string[] => registry.wanted.map(({ key }) => key.mirror);
const FILE = [{ link: 'east-west', spec: spec('orders', ['orders-*']) }];

describe('the registry', () => {
  it('refuses a mirror that could take a topic of another one of its link', async () => {
    const registry = new Registry(new MemoryStore(() => 0.5), FILE);
    await expect(registry.put(ofApi(spec('europe', ['*-eu'])))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('it and east-west/orders both take a topic like "orders-eu"'),
    });
    await registry.put(ofApi(spec('europe', ['*-eu'], { exclude: ['orders-*'] })));
    expect(names(registry)).toEqual(['orders', 'europe']);
  });

  it('refuses a mirror that could write a target topic of another one', async () => {
    const registry = new Registry(new MemoryStore(() => 0.5), FILE);
    const audit = spec('audit', ['audit'], { rename: 'persistent://public/default/orders-audit' });
    await expect(registry.put(ofApi(audit))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('orders-audit'),
    });
  });

  it('refuses a mirror that would make topics without end together with one of another link', async () => {
    const links = new Map(
      [
        { name: 'east-west', from: 'east', to: 'west' },
        { name: 'west-east', from: 'west', to: 'east' },
      ].map((link) => [link.name, link]),
    );
    const copies = { rename: '{topic}-copy' };
    const registry = new Registry(new MemoryStore(() => 0.5), [{ link: 'east-west', spec: spec('all', ['*'], copies) }], links);
    const back = (changes: Partial<MirrorSpec>): WantedMirror => ({
      ...ofApi(spec('back', ['*'], changes)),
      key: { link: 'west-east', mirror: 'back' },
    });
    await expect(registry.put(back(copies))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/without end: .+ -> .+-copy -> .+-copy-copy/),
    });
    await registry.put(back({ rename: '{topic}', exclude: ['*-copy'] }));
    expect(names(registry)).toEqual(['all', 'back']);
  });

  it('lets mirrors of different links take the same topics', async () => {
    const registry = new Registry(new MemoryStore(() => 0.5), FILE);
    await registry.put({ ...ofApi(spec('orders', ['orders-*'])), key: { link: 'north-west', mirror: 'orders' } });
    expect(registry.wanted).toHaveLength(2);
  });

  it('refuses a change that would make a mirror collide, and keeps it as it was', async () => {
    const registry = new Registry(new MemoryStore(() => 0.5), FILE);
    await registry.put(ofApi(spec('refunds', ['refunds'])));
    await expect(registry.put(ofApi(spec('refunds', ['*'])))).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(registry.get({ link: 'east-west', mirror: 'refunds' }).spec.topics).toEqual(['refunds']);
  });

  it('leaves out a stored mirror that collides with the file of today, and says why', async () => {
    const store = new MemoryStore(() => 0.5);
    await new Registry(store, []).put(ofApi(spec('europe', ['*-eu'])));
    const registry = new Registry(store, FILE);
    expect(await registry.load(new Set(['east-west']))).toEqual([
      { name: 'east-west/europe', detail: expect.stringContaining('"orders-eu"') },
    ]);
    expect(names(registry)).toEqual(['orders']);
  });

  it('leaves out a stored mirror whose link is gone', async () => {
    const store = new MemoryStore(() => 0.5);
    await new Registry(store, []).put(ofApi(spec('europe', ['*-eu'])));
    const registry = new Registry(store, []);
    expect(await registry.load(new Set(['north-west']))).toEqual([
      { name: 'east-west/europe', detail: expect.stringContaining('its link') },
    ]);
  });

  it('keeps mirrors and pauses over a restart, the rule of a file mirror being that of the file', async () => {
    const store = new MemoryStore(() => 0.5);
    const before = new Registry(store, FILE);
    await before.put({ ...before.get({ link: 'east-west', mirror: 'orders' }), paused: true });
    await before.put(ofApi(spec('refunds', ['refunds'])));
    const after = new Registry(store, [{ link: 'east-west', spec: spec('orders', ['orders-*', 'more']) }]);
    expect(await after.load(new Set(['east-west']))).toEqual([]);
    expect(after.wanted.map(({ key, paused, spec: rule }) => [key.mirror, paused, rule.topics])).toEqual([
      ['orders', true, ['orders-*', 'more']],
      ['refunds', false, ['refunds']],
    ]);
  });
});
