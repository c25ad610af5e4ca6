import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.ts';
import type { CheckTopics } from '../../../src/spi/cluster.ts';
import { CONFIG, cli, fakeCluster, writeConfig } from './kit.ts';

const FILE = writeConfig(CONFIG('127.0.0.1:0', 'a-token-of-enough-characters'));
const BROKEN = writeConfig('region: West\nclusters: {}\n');

describe('isthmus', () => {
  it.each([
    [[]],
    [['--help']],
    [['run', '--help']],
    [['check', '--help']],
    [['mirrors', '--help']],
    [['mirrors', 'add', '--help']],
    [['mirrors', 'pause', '--help']],
    [['mirrors', 'delete', '--help']],
    [['lanes', '--help']],
  ])('%j shows help with examples', async (args) => {
    const { code, out, err } = await cli(args);
    expect(code).toBe(args.length === 0 ? 2 : 0);
    expect(out + err).toMatch(/Usage: isthmus/);
    expect(out + err).toMatch(/\n {2}isthmus \w+/);
  });

  it('docs/CLI.md has every verb and option', async () => {
    const docs = readFileSync('docs/CLI.md', 'utf8');
    for (const args of [
      [],
      ['run'],
      ['check'],
      ['lanes'],
      ['mirrors'],
      ['mirrors', 'add'],
      ['mirrors', 'pause'],
      ['mirrors', 'delete'],
    ]) {
      const { out } = await cli([...args, '--help']);
      const options = [...out.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option ?? '');
      const verbs = [...out.matchAll(/^ {2}([a-z]+) [[<]/gm)].map(([, verb]) => [...args, verb].join(' '));
      expect(options.length).toBeGreaterThan(1);
      expect(
        [...options, ...verbs].filter((word) => !docs.includes(word) && !['--version', 'help', 'mirrors help'].includes(word)),
      ).toEqual([]);
    }
  });

  it('--version tells the version', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: '1.2.3', err: '' });
  });

  it.each([
    [['rnu'], /unknown command 'rnu'[\s\S]*Did you mean run\?/],
    [['run'], /required option '-c, --config <file>'/],
    [['run', '-c', FILE, '--colour'], /unknown option '--colour'/],
    [['run', '-c', FILE, 'extra'], /too many arguments/],
    [['lanes', 'orders'], /It must be LINK\/MIRROR/],
    [['mirrors', 'pause'], /missing required argument 'link\/mirror'/],
    [['mirrors', 'pauze', 'a/b'], /It must be LINK\/MIRROR|too many arguments/],
    [['mirrors', 'add', 'a/b', '--partitions', '-3'], /It must be a whole number/],
    [['mirrors', 'add', 'a/b', '--property', 'x'], /It must be NAME=VALUE/],
    [['mirrors', 'add', 'a/b', '--file', '/nowhere/at/all'], /cannot read \/nowhere\/at\/all/],
  ])('%j is refused with exit code 2', async (args, message) => {
    const { code, out, err } = await cli(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\bat .*\.ts/);
  });

  it.each(['run', 'check', 'mirrors', 'lanes'])(
    '%s with a broken configuration tells all its problems, and does nothing',
    async (verb) => {
      const never = (): never => {
        throw new Error('it was started');
      };
      const { code, out, err } = await cli([verb, '-c', BROKEN], { wiring: { run: never, openClusters: never } });
      expect([code, out]).toEqual([2, '']);
      expect(err).toBe(`isthmus: ${BROKEN} has 2 problems:
  ${BROKEN}:1:1: links is missing; it must be a mapping with keys
  ${BROKEN}:1:9: region must be a name of lower-case letters, digits and inner dashes, at most 64 characters, not "West"
    for example "west"`);
    },
  );

  it('tells the problems of a configuration as JSON', async () => {
    const { err } = await cli(['check', '-c', BROKEN, '--json']);
    expect(JSON.parse(err)).toMatchObject({
      code: 'CONFIG_INVALID',
      problems: [{ path: 'region', line: 1, column: 9 }, { path: 'links' }],
    });
  });

  it('shows where an error came from only with --debug', async () => {
    const run = (): Promise<number> => Promise.reject(new Error('it broke', { cause: new Error('because') }));
    expect(await cli(['run', '-c', FILE], { wiring: { run } })).toEqual({ code: 1, out: '', err: 'isthmus: it broke' });
    const { err } = await cli(['run', '-c', FILE, '--debug'], { wiring: { run } });
    expect(err).toMatch(/Error: it broke\n {4}at [\s\S]*Error: because\n {4}at /);
  });
});

describe('isthmus run', () => {
  it.each([0, 1])('hands the configuration on and ends with its exit code %i', async (code) => {
    const seen: Config[] = [];
    const run = (config: Config): Promise<number> => {
      seen.push(config);
      return Promise.resolve(code);
    };
    expect((await cli(['run', '-c', FILE], { wiring: { run } })).code).toBe(code);
    expect(seen.map(({ region }) => region)).toEqual(['west']);
  });
});

describe('isthmus check', () => {
  const works = ({ reads, writes }: CheckTopics) =>
    Promise.resolve(['connect', ...reads, ...writes].map((what) => ({ what, ok: true, detail: 'works' })));
  const TOPICS = ['orders-eu', 'orders-us', 'payments'];

  async function check(
    source = fakeCluster('rmq-east', 'rocketmq', TOPICS, works),
    target = fakeCluster('pulsar-west', 'pulsar', [], works),
    args: readonly string[] = [],
  ) {
    let closed = 0;
    const clusters = new Map([
      ['rmq-east', source],
      ['pulsar-west', target],
    ]);
    const close = (): Promise<void> => Promise.resolve(void closed++);
    const outcome = await cli(['check', '-c', FILE, ...args], { wiring: { openClusters: () => ({ clusters, close }) } });
    expect(closed).toBe(1);
    return outcome;
  }

  it('tells per cluster and topic what works, and what each mirror takes', async () => {
    const { code, out } = await check();
    expect(code).toBe(0);
    expect(out).toBe(`${FILE}: valid
ok    state: works
info  marks: not sealed: whoever may write to a mirrored topic can forge them (provenance.secret)
cluster rmq-east (rocketmq, east)
  ok    connect: works
  ok    orders-eu: works
  ok    orders-us: works
cluster pulsar-west (pulsar, west)
  ok    connect: works
  ok    persistent://public/default/orders-eu: works
  ok    persistent://public/default/orders-us: works
mirror east-west/orders: 2 topics match now
  ok    orders-eu -> persistent://public/default/orders-eu
  ok    orders-us -> persistent://public/default/orders-us
  info  dedup window: off: exactly once comes from the marks in the target; producers that send twice are not noticed
  info  retention: 72 h for topics that the mirror creates, where the namespace sets nothing
mirror east-west/audit: no topic matches now; it waits for one
  info  dedup window: off: exactly once comes from the marks in the target; producers that send twice are not noticed
  info  retention: 72 h for topics that the mirror creates, where the namespace sets nothing
everything works`);
  });

  it('ends with 1 when something does not work', async () => {
    const refused = fakeCluster('pulsar-west', 'pulsar', [], () =>
      Promise.resolve([{ what: 'connect', ok: false, detail: 'refused\u001b[1m' }]),
    );
    const { code, out } = await check(undefined, refused);
    expect(code).toBe(1);
    expect(out).toContain('  FAIL  connect: refused\\x1b[1m');
    expect(out).toMatch(/1 thing does not work$/);
  });

  it('ends with 1 when the state store does not answer', async () => {
    const clusters = new Map();
    const wiring = {
      openClusters: () => ({ clusters, close: () => Promise.resolve() }),
      checkState: () => Promise.resolve({ what: 'state', ok: false, detail: 'refused' }),
    };
    const { code, out } = await cli(['check', '-c', FILE], { wiring });
    expect([code, out]).toEqual([1, expect.stringContaining('FAIL  state: refused')]);
  });

  it('goes on with the others when a source does not answer', async () => {
    const dead = fakeCluster('rmq-east', 'rocketmq', new Error('no route'), () => Promise.reject(new Error('no route')));
    const { code, out } = await check(dead);
    expect(code).toBe(1);
    expect(out).toContain('cluster rmq-east (rocketmq, east)\n  FAIL  check: no route');
    expect(out).toContain('cluster pulsar-west (pulsar, west)\n  ok    connect: works');
    expect(out).toContain('mirror east-west/orders\n  FAIL  its source does not list its topics');
  });

  it('names topics that the target refuses', async () => {
    const picky = fakeCluster('pulsar-west', 'pulsar', [], works, (topic) => (topic.endsWith('us') ? 'no us here' : undefined));
    const { code, out } = await check(undefined, picky);
    expect(code).toBe(1);
    expect(out).toContain('  FAIL  orders-us -> persistent://public/default/orders-us: no us here');
  });

  it('tells the same as JSON', async () => {
    const { code, out } = await check(undefined, undefined, ['--json']);
    expect([code, JSON.parse(out)]).toEqual([
      0,
      {
        ok: true,
        state: { what: 'state', ok: true, detail: 'works' },
        marks: [expect.objectContaining({ what: 'marks', note: 'info' })],
        mirrors: [
          {
            mirror: 'east-west/orders',
            topics: [
              expect.objectContaining({ source: 'orders-eu', target: 'persistent://public/default/orders-eu' }),
              expect.anything(),
            ],
            notes: expect.any(Array),
          },
          { mirror: 'east-west/audit', topics: [], notes: expect.any(Array) },
        ],
        clusters: [expect.objectContaining({ cluster: 'rmq-east' }), expect.objectContaining({ cluster: 'pulsar-west' })],
      },
    ]);
  });

  it('tries a bounded number of topics', async () => {
    const many = Array.from({ length: 500 }, (_, i) => `orders-${i}`);
    const asked: [number, number][] = [];
    await check(
      fakeCluster(
        'rmq-east',
        'rocketmq',
        many,
        (topics) => (asked.push([topics.reads.length, topics.writes.length]), works(topics)),
      ),
    );
    expect(asked).toEqual([[50, 0]]);
  });

  it('names what may be a surprise, and is fine with it', async () => {
    const file = writeConfig(`region: west
provenance: { secret: 0123456789abcdef, unsealed: accept }
state: redis://127.0.0.1
clusters:
  rmq-east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  rmq-west: { type: rocketmq, region: west, namesrv: ["127.0.0.1:9877"] }
links:
  there: { from: rmq-east, to: rmq-west, mirrors: { m: { topics: ["*"], routing: { mode: key } } } }
`);
    const described = { orders: { topic: 'orders', lanes: [], settings: { 'message.type': 'NORMAL' } } };
    const clusters = new Map([
      ['rmq-east', fakeCluster('rmq-east', 'rocketmq', ['orders', 'new', '%RETRY%g'], works)],
      ['rmq-west', fakeCluster('rmq-west', 'rocketmq', [], works, undefined, described)],
    ]);
    const wiring = { openClusters: () => ({ clusters, close: () => Promise.resolve() }) };
    const { code, out } = await cli(['check', '-c', file], { wiring });
    expect(code).toBe(0);
    expect(out).toContain(
      'info  marks: sealed with a secret, which every process of every region must share; marks without a seal count',
    );
    expect(out).toContain('mirror there/m: 2 topics match now\n  ok    orders -> orders\n  ok    new -> new\n');
    expect(out).toContain(
      '  info  dedup window: 24 h, at most 10000000 ids per topic, by origin; it goes on without the window while the state is away',
    );
    expect(out).toContain('  info  retention: as long as the brokers of the target keep records');
    expect(out).toContain('  WARN  order per key in orders: it has message.type=NORMAL');
  });

  it('finds two topics that would get one name', async () => {
    const file = writeConfig(`region: west
clusters:
  rmq-east: { type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }
  rmq-west: { type: rocketmq, region: west, namesrv: ["127.0.0.1:9877"] }
links:
  there: { from: rmq-east, to: rmq-west, mirrors: { m: { topics: ["x-*"], rename: [{ match: "x-*_*", to: "y-{1}-{2}" }] } } }
`);
    const clusters = new Map([['rmq-east', fakeCluster('rmq-east', 'rocketmq', ['x-a_b-c', 'x-a-b_c'], works)]]);
    const { code, out } = await cli(['check', '-c', file], {
      wiring: { openClusters: () => ({ clusters, close: () => Promise.resolve() }) },
    });
    expect(code).toBe(1);
    expect(out).toContain('FAIL  name y-a-b-c: x-a-b_c gets the name that another topic of this mirror has');
  });
});
