import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { mirrorSchema } from '../../../src/config/mirror-fields.ts';
import type { MirrorSpec } from '../../../src/model/mirror-spec.ts';
import { ADMIN, type Api, startApi } from '../http/kit.ts';
import { CONFIG, cli, type Outcome, writeConfig } from './kit.ts';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.server.close());
beforeEach(() => {
  api.control.specs.delete('east-west/refunds');
});

const ask = (args: readonly string[], input = ''): Promise<Outcome> =>
  cli([...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: ADMIN }, input });
const add = (args: string, input?: string): Promise<Outcome> =>
  ask(['mirrors', 'add', 'east-west/refunds', ...args.split(' ')], input);
const added = (): MirrorSpec | undefined => api.control.specs.get('east-west/refunds')?.spec;

/** An option for each field that a mirror can have. */
const EVERY = [
  ['topics', '--topics refunds-* chargebacks', { topics: ['refunds-*', 'chargebacks'] }],
  ['exclude', '--exclude refunds-test', { exclude: ['refunds-test'] }],
  [
    'rename',
    '--rename-rule refunds-*=persistent://public/default/eu-{1}',
    { renames: [{ match: 'refunds-*', to: 'persistent://public/default/eu-{1}' }] },
  ],
  ['rename', '--rename persistent://public/default/x-{topic}', { rename: 'persistent://public/default/x-{topic}' }],
  ['retryTopics', '--retry-topics', { retryTopics: true }],
  ['start', '--start latest', { start: 'latest' }],
  ['onRecreated', '--on-recreated stop', { onRecreated: 'stop' }],
  ['retention', '--retention 7d', { retentionMinutes: 7 * 24 * 60 }],
  ['filter.tags', '--tags paid open', { filter: { tags: ['paid', 'open'] } }],
  ['filter.properties', '--property region=eu --property region=us', { filter: { properties: { region: ['eu', 'us'] } } }],
  ['filter.except', '--except kind=test --except a=b=c', { filter: { except: { kind: ['test'], a: ['b=c'] } } }],
  ['filter.present', '--present id customer', { filter: { present: ['id', 'customer'] } }],
  ['filter.absent', '--absent debug', { filter: { absent: ['debug'] } }],
  ['transform.drop', '--drop debug-* trace', { transform: { drop: ['debug-*', 'trace'] } }],
  ['transform.rename', '--rename-property cust=customer', { transform: { rename: { cust: 'customer' } } }],
  ['transform.set', '--set region=east --set by=isthmus', { transform: { set: { region: 'east', by: 'isthmus' } } }],
  ['routing.by', '--by property:customer', { routing: { mode: 'key', by: { kind: 'property', name: 'customer' } } }],
  ['routing.mode', '--routing key --partitions 4', { routing: { mode: 'key', by: { kind: 'default' }, partitions: 4 } }],
  ['routing.partitions', '--by keys --partitions 4', { routing: { mode: 'key', by: { kind: 'keys' }, partitions: 4 } }],
  ['dedup', '--dedup off', { dedup: undefined }],
  ['dedup.window', '--dedup 1h', { dedup: { windowMillis: 3_600_000, id: { kind: 'origin' } } }],
  ['dedup.id', '--dedup-id property:id', { dedup: { id: { kind: 'property', name: 'id' } } }],
  ['dedup.maxIds', '--dedup-max-ids 500000', { dedup: { maxIds: 500_000 } }],
  ['dedup.onStateLoss', '--dedup 2h --on-state-loss continue', { dedup: { windowMillis: 7_200_000, onStateLoss: 'continue' } }],
  ['onBadRecord', '--on-bad-record dead-letter', { onBadRecord: 'dead-letter' }],
  ['deadLetterTopic', '--dead-letter-topic {target}-dead', { deadLetterTopic: '{target}-dead' }],
  ['batching', '--batching per-key', { batching: 'per-key' }],
  ['compression', '--compression lz4', { compression: 'lz4' }],
] as const;

/** Names of all fields, those of sections with the section in front. */
function fieldsOf(schema: unknown, path = ''): string[] {
  const { properties, anyOf, oneOf, type } = schema as Record<string, unknown>;
  const below = Object.entries(properties ?? {}).flatMap(([name, each]) =>
    fieldsOf(each, path === '' ? name : `${path}.${name}`),
  );
  const either = [...((anyOf ?? oneOf ?? []) as unknown[])].flatMap((each) => fieldsOf(each, path));
  const found = [...below, ...either];
  return found.length === 0 || type === 'array' ? [path] : found;
}

describe('isthmus mirrors add', () => {
  it.each(EVERY)('takes %s from %s', async (field, args, expected) => {
    const topics = field === 'topics' ? '' : '--topics refunds-* ';
    expect(await add(`${topics}${args} --json`)).toMatchObject({ code: 0, err: '' });
    expect(added()).toMatchObject(expected);
  });

  it('has an option for each field that a mirror has in the configuration file', () => {
    const known = new Set<string>(EVERY.map(([field]) => field));
    const fields = new Set(fieldsOf(z.toJSONSchema(mirrorSchema, { io: 'input', unrepresentable: 'any' })));
    expect(fields.size).toBeGreaterThan(20);
    expect([...fields].filter((field) => !known.has(field))).toEqual([]);
  });

  it('adds one that can be deleted', async () => {
    expect((await add('--topics refunds-*')).code).toBe(0);
    expect(await ask(['mirrors', 'delete', 'east-west/refunds'])).toEqual({
      code: 0,
      out: 'east-west/refunds is deleted',
      err: '',
    });
    expect(added()).toBeUndefined();
  });

  it.each(['topics: ["refunds-*"]\ncompression: lz4', '{"topics": ["refunds-*"], "compression": "lz4"}'])(
    'adds one from standard input (%s), where options win',
    async (input) => {
      expect((await add('--file - --compression zstd', input)).code).toBe(0);
      expect(added()).toMatchObject({ topics: ['refunds-*'], compression: 'zstd' });
    },
  );

  it('joins what the file and the options say of one section, each field for itself', async () => {
    const file = `
topics: ["refunds-*"]
filter: { tags: [paid], present: [id] }
transform: { drop: [trace], set: { region: east } }
routing: { mode: key, by: keys }
dedup: { window: 2h, id: producer }`;
    expect((await add('--file - --tags open --drop debug --partitions 8 --dedup-max-ids 500000', file)).code).toBe(0);
    expect(added()).toMatchObject({
      filter: { tags: ['open'], present: ['id'] },
      transform: { drop: ['debug'], set: { region: 'east' } },
      routing: { mode: 'key', by: { kind: 'keys' }, partitions: 8 },
      dedup: { windowMillis: 7_200_000, id: { kind: 'producer' }, maxIds: 500_000 },
    });
  });

  it('lets another mode of routing stand alone', async () => {
    expect((await add('--file - --routing identity', 'topics: [refunds]\nrouting: { mode: key, by: keys }')).code).toBe(0);
    expect(added()?.routing).toEqual({ mode: 'identity' });
  });

  it('tells everything that is wrong with a new one', async () => {
    const { code, out, err } = await ask(['mirrors', 'add', 'east-wes/refunds', '--topics', 'a.b', '--compression', 'lz5']);
    expect([code, out]).toEqual([2, '']);
    expect(err).toBe(`isthmus: the request is refused:
  link must be the name of a link
    did you mean "east-west"?
  compression must be one of none, lz4, zlib, zstd, snappy, not "lz5"
    did you mean "lz4"?
  topics[0] can match no RocketMQ topic: those have only letters, digits, -, _, % and |, not "a.b"
    wildcards are * (any run) and ? (one character)`);
  });

  it.each([
    ['--topics a --dedup-id propertyid', 'dedup.id must be origin, producer or property:<name>, not "propertyid"'],
    ['--topics a --rename-rule b*=x', 'rename[0].to'],
    ['--topics a --set ISTHMUS=x', 'transform.set'],
    ['--topics a --dedup off --dedup-id producer', 'dedup.window'],
  ])('names the field that is wrong in %s', async (args, text) => {
    const { code, err } = await add(args);
    expect([code, err]).toEqual([2, expect.stringContaining(text)]);
    expect(added()).toBeUndefined();
  });

  it.each([
    ['--property region', 'It must be NAME=VALUE.'],
    ['--rename-property =x', 'It must be OLD=NEW.'],
    ['--rename-rule orders-*', 'It must be MATCH=TO, for example orders-*=eu-orders-{1}.'],
    ['--partitions many', 'It must be a whole number.'],
    ['--rename x --rename-rule a=b', '--rename and --rename-rule exclude each other'],
  ])('refuses %s before anything is asked', async (args, text) => {
    const { code, err } = await cli(['mirrors', 'add', 'l/m', '--url', 'http://127.0.0.1:1', '--token', 't', ...args.split(' ')]);
    expect([code, err]).toEqual([2, expect.stringContaining(text)]);
  });

  it.each([
    ['topics: [a]\ntopics: [b]\nstart: earliest\nstart: latest', 'standard input has 2 problems:'],
    ['- topics', 'must hold the fields of one mirror, as JSON or YAML'],
    ['topics: [a', 'standard input has a problem:'],
  ])('tells what is wrong with a file (%j)', async (input, text) => {
    const { code, err } = await add('--file -', input);
    expect([code, err]).toEqual([2, expect.stringContaining(text)]);
  });

  it('says what to take of a whole configuration file, and which file cannot be read', async () => {
    const whole = await add(`--file ${writeConfig(CONFIG('127.0.0.1:1', 't'))}`);
    expect([whole.code, whole.err]).toEqual([2, expect.stringContaining('it must hold the fields of one (topics, rename, ...)')]);
    const away = await add('--file nowhere.yaml');
    expect([away.code, away.err]).toEqual([2, expect.stringMatching(/cannot read nowhere\.yaml: ENOENT/)]);
  });
});
