import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { apiUrl, loadConfig, parseConfig } from '../../../src/config/load.ts';
import { configJsonSchema } from '../../../src/config/schema.ts';
import { broken, FOUR, GOOD, lines, problemsOf } from './kit.ts';

describe('a good configuration', () => {
  it('is filled up with defaults', () => {
    const config = parseConfig(GOOD, '/etc/isthmus/west.yaml', {});
    expect(config).toEqual({
      region: 'west',
      http: { host: '127.0.0.1', port: 8686, tokens: [], metrics: 'token' },
      state: { kind: 'file', path: '/etc/isthmus/isthmus-state.db' },
      clusters: {
        'rmq-east': {
          type: 'rocketmq',
          region: 'east',
          namesrv: ['127.0.0.1:9876'],
          auth: undefined,
          tls: undefined,
          popWindowMillis: 60_000,
        },
        'pulsar-west': {
          type: 'pulsar',
          driver: 'wire',
          region: 'west',
          serviceUrl: 'pulsar://127.0.0.1:6650',
          adminUrl: 'http://127.0.0.1:8080',
          auth: undefined,
          tls: undefined,
          listenerName: undefined,
        },
      },
      links: [
        {
          name: 'east-west',
          from: 'rmq-east',
          to: 'pulsar-west',
          mirrors: [
            {
              name: 'orders',
              topics: ['orders-*'],
              exclude: [],
              rename: 'persistent://public/default/{topic}',
              start: 'earliest',
              routing: { mode: 'identity' },
              filter: { tags: [], properties: {}, except: {}, present: [], absent: [] },
              onBadRecord: 'stop-lane',
              deadLetterTopic: '{target}-dead-letter',
              batching: 'auto',
              compression: 'none',
              retentionMinutes: 72 * 60,
              renames: [],
              retryTopics: false,
              transform: { drop: [], rename: {}, set: {} },
              dedup: undefined,
              onRecreated: 'follow',
            },
          ],
        },
      ],
      limits: { readAheadBytes: 48 * 2 ** 20, inFlightBytes: 48 * 2 ** 20 },
      provenance: { secrets: [], acceptUnsealed: false },
      log: { level: 'info' },
    });
  });

  it('may be JSON', () => {
    const json = JSON.stringify({
      region: 'west',
      clusters: {},
      links: {},
      state: 'redis://:pw@h:6379/3?prefix=p',
      limits: { readAhead: '1.5GiB' },
    });
    const config = parseConfig(json, 'c.json', {});
    expect(config.state).toEqual({ kind: 'redis', url: 'redis://:pw@h:6379/3', prefix: 'p:' });
    expect(config.limits.readAheadBytes).toBe(1.5 * 2 ** 30);
  });

  it.each([
    ['redis://h', 'redis://h', 'isthmus:'],
    ['rediss://u:p@h:1/2?prefix=', 'rediss://u:p@h:1/2', 'isthmus:'],
    ['redis://h/0?prefix=a:', 'redis://h/0', 'a:'],
  ])('with the state %s begins its keys with a prefix', (state, url, prefix) => {
    expect(parseConfig(`state: "${state}"\n${GOOD}`, 'c', {}).state).toEqual({ kind: 'redis', url, prefix });
  });

  it.each([
    ['east', ['west-east']],
    ['west', ['east-west']],
    ['local', ['east-west', 'west-east']],
  ])('config/%s.yaml is one', (name, links) => {
    const environment = {
      ISTHMUS_TOKEN: 'an-admin-token-for-the-test',
      ISTHMUS_READ_TOKEN: 'a-reading-token-for-the-test',
      ISTHMUS_PROVENANCE_SECRET: 'a-secret-of-marks-for-the-test',
    };
    expect(loadConfig(`config/${name}.yaml`, environment).links.map((link) => link.name)).toEqual(links);
  });

  it.each([
    ['127.0.0.1:8686', 'http://127.0.0.1:8686'],
    ['"[::1]:80"', 'http://[::1]:80'],
    ['localhost:0', 'http://localhost:0'],
  ])('that listens on %s is asked at %s', (listen, url) => {
    expect(apiUrl(parseConfig(`http: { listen: ${listen} }\n${GOOD}`, 'c', {}).http)).toBe(url);
  });

  it('that listens everywhere is asked on the loopback', () => {
    expect(apiUrl({ host: '0.0.0.0', port: 1, tokens: [], metrics: 'open' })).toBe('http://127.0.0.1:1');
  });
});

describe('config/schema.json', () => {
  it('is what `scripts/generate-config-schema.ts` would write now', () => {
    expect(JSON.parse(readFileSync('config/schema.json', 'utf8'))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
  });
});

describe('problems', () => {
  it('come all at once, each with its line, column and hint', () => {
    const text = `regoin: west
clusters: { rmq-east: { type: rocketmq, region: 7, namesrv: [] } }
links: { Up: { from: rmq-est, to: rmq-east, mirrors: { m: { topics: a, driver: {} } } } }
limits: { readAhead: 48MB, inFlight: -1 }
`;
    expect(problemsOf(text)).toEqual([
      { path: 'region', message: 'is missing; it must be a text', line: 1, column: 1 },
      {
        path: 'links.Up',
        message: expect.stringContaining('must be a name of lower-case letters'),
        hint: 'for example "up"',
        line: 3,
        column: 10,
      },
      {
        path: 'limits.readAhead',
        message: 'must be a size in B, KiB, MiB or GiB, not "48MB"',
        hint: 'did you mean "48MiB"?',
        line: 4,
        column: 22,
      },
      { path: 'limits.inFlight', message: 'must be a size in B, KiB, MiB or GiB, not -1', line: 4, column: 38 },
      { path: 'regoin', message: 'is not a known key', hint: 'did you mean "region"?', line: 1, column: 1 },
      { path: 'clusters.rmq-east.region', message: 'must be a text, not 7', line: 2, column: 49 },
      { path: 'clusters.rmq-east.namesrv', message: 'must have at least 1 entry', line: 2, column: 61 },
      {
        path: 'links.Up.from',
        message: 'must be the name of a cluster, not "rmq-est"',
        hint: 'did you mean "rmq-east"?',
        line: 3,
        column: 22,
      },
      {
        path: 'links.Up.mirrors.m.topics',
        message: 'must be a list, not "a"',
        hint: 'write it in brackets, also when it is one: [a]',
        line: 3,
        column: 69,
      },
      {
        path: 'links.Up.mirrors.m.driver',
        message: 'is not a known key',
        hint: 'this version does not have "driver" yet; leave it out',
        line: 3,
        column: 72,
      },
    ]);
  });

  it('are told in the order of the file, with its name', () => {
    expect(() => parseConfig('region: West\nclusters: {}\nlinks: 3\n', 'x.yaml', {})).toThrow(
      /^x\.yaml has 2 problems:\n {2}x\.yaml:1:9: region must be a name [^\n]*, not "West"\n {4}for example "west"\n {2}x\.yaml:3:8: links must be a mapping with keys, not 3$/,
    );
  });

  it.each([
    ['a key given twice', broken('region: west', 'region: west\nregion: east'), 'region is given twice, in lines 1 and 2'],
    [
      'a mirror given twice',
      broken('      orders:', '      orders: { topics: [a] }\n      orders:'),
      'links.east-west.mirrors.orders is given twice, in lines 10 and 11',
    ],
    [
      'a wrong type of cluster',
      broken('type: pulsar', 'type: pulsr'),
      'clusters.pulsar-west.type must be rocketmq or pulsar, not "pulsr"',
    ],
    [
      'a cluster that is a text',
      broken('{ type: rocketmq, region: east, namesrv: ["127.0.0.1:9876"] }', 'x'),
      'clusters.rmq-east must be a mapping with a type',
    ],
    [
      'an address without a port',
      broken('127.0.0.1:9876', '127.0.0.1'),
      'clusters.rmq-east.namesrv[0] must be host:port, not "127.0.0.1"',
    ],
    [
      'a service URL of another kind',
      broken('pulsar://127.0.0.1', 'http://u:p@h'),
      'clusters.pulsar-west.serviceUrl must be pulsar://host:port or pulsar+ssl://host:port, several hosts separated by commas, not "http://***@h"',
    ],
    [
      'an admin URL with a path',
      broken('8080/', '8080/admin/v2'),
      'clusters.pulsar-west.adminUrl must end after the host and port, not "http://127.0.0.1:8080/admin/v2"',
    ],
    [
      'a link to itself',
      broken('to: pulsar-west', 'to: rmq-east'),
      'links.east-west has the same cluster, rmq-east, at both ends',
    ],
    ['a missing end', broken('    to: pulsar-west\n', ''), 'links.east-west.to is missing; it must be a text'],
    ['an empty list of topics', broken('["orders-*"]', '[]'), 'links.east-west.mirrors.orders.topics must have at least 1 entry'],
    ['an empty topic', broken('["orders-*"]', '["a", ""]'), 'links.east-west.mirrors.orders.topics[1] must not be empty'],
    [
      'a mirror without topics',
      broken('{ topics: ["orders-*"] }', '{}'),
      'links.east-west.mirrors.orders.topics is missing; it must be a list',
    ],
    [
      'a mirror that is empty',
      broken('{ topics: ["orders-*"] }', ''),
      'links.east-west.mirrors.orders must be a mapping with keys, but is empty',
    ],
    [
      'a region that is no name',
      `${GOOD.replace('region: west', 'region: "-"')}`,
      'region must be a name of lower-case letters, digits and inner dashes, at most 64 characters, not "-"',
    ],
    [
      'a state of another kind',
      `state: mysql://x\n${GOOD}`,
      'state must be file:PATH or redis://host:port/database, not "mysql://x"',
    ],
    ['a listen without a port', `http: { listen: localhost }\n${GOOD}`, 'http.listen must be host:port, not "localhost"'],
    [
      'a port beyond the last',
      `http: { listen: "127.0.0.1:65536" }\n${GOOD}`,
      'http.listen must be host:port, not "127.0.0.1:65536"',
    ],
    [
      'an open door',
      `http: { listen: "0.0.0.0:1" }\n${GOOD}`,
      'http.listen is 0.0.0.0:1, which others can reach, and there are no tokens',
    ],
    [
      'a short token',
      `http: { tokens: [{ name: a, token: short, role: admin }] }\n${GOOD}`,
      'http.tokens[0].token must have 16 to 1024 characters',
    ],
    ['a budget of nothing', `limits: { inFlight: 12KiB }\n${GOOD}`, 'limits.inFlight must be from 1MiB to 64GiB, not "12KiB"'],
  ])('%s is refused', (_, text, expected) => {
    expect(lines(problemsOf(text))).toEqual([expected]);
  });

  it('two clusters at one address are one cluster under two names, also as the ends of a link', () => {
    const text = broken('127.0.0.1:9876', 'localhost:6650');
    expect(lines(problemsOf(text))).toEqual([
      'clusters.pulsar-west shares the address localhost:6650 with rmq-east: one cluster under two names, whose loops could not be cut',
      'links.east-west has the same cluster at both ends: rmq-east and pulsar-west share the address localhost:6650',
    ]);
  });

  it.each([
    ['rmq-east', 'rmq-west', '{topic}'],
    ['rmq-east', 'pulsar-west', 'persistent://public/default/{topic}'],
    ['pulsar-west', 'rmq-east', '{name}'],
    ['pulsar-west', 'pulsar-east', '{topic}'],
  ])('a link from %s to %s gives the names of %s', (from, to, rename) => {
    const config = parseConfig(FOUR.replace('from: A, to: B', `from: ${from}, to: ${to}`), 'c', {});
    expect(config.links[0]?.mirrors[0]).toMatchObject({ rename, deadLetterTopic: '{target}-dead-letter' });
  });

  it('links in both directions between two clusters go together, under the same names', () => {
    const there = 'there: { from: rmq-east, to: rmq-west, mirrors: { m: { topics: ["*"] } } }';
    const back = 'back: { from: rmq-west, to: rmq-east, mirrors: { m: { topics: ["*"] } } }';
    expect(problemsOf(FOUR.replace(/ {2}link: .*/, `  ${there}\n  ${back}`))).toEqual([]);
  });

  it('links that would make topics out of their own copies for ever are refused', () => {
    const there = 'there: { from: rmq-east, to: rmq-west, mirrors: { m: { topics: ["orders*"], rename: "{topic}-copy" } } }';
    const back = 'back: { from: rmq-west, to: rmq-east, mirrors: { m: { topics: ["*-copy"], rename: "{topic}-back" } } }';
    const text = FOUR.replace(/ {2}link: .*/, `  ${there}\n  ${back}`);
    expect(problemsOf(text)).toEqual([
      {
        path: expect.stringMatching(/^links\.(there|back)\.mirrors\.m\.rename$/),
        message: expect.stringMatching(/^makes topics out of its own without end: .*-copy-back.* -> \.\.\.$/),
        hint: 'keep the same names both ways, or leave the copies out with exclude',
        line: expect.any(Number),
        column: expect.any(Number),
      },
    ]);
    expect(problemsOf(text.replace('["orders*"]', '["orders*"], exclude: ["*-back"]'))).toEqual([]);
  });

  it('a secret of marks comes from the environment or a file, and a list of them for changing it', () => {
    const environment = { NEW: 'a-new-secret-0123456789', OLD: 'an-old-secret-0123456789' };
    const secrets = (value: string): readonly string[] =>
      parseConfig(`provenance: { secret: ${value} }\n${GOOD}`, 'c', environment).provenance.secrets;
    expect(secrets('"${NEW}"')).toEqual([environment.NEW]);
    expect(secrets('["${NEW}", "${OLD}"]')).toEqual([environment.NEW, environment.OLD]);
  });

  it('a short secret of marks is refused, without showing it', () => {
    const problems = problemsOf(`provenance: { secret: [shortsecret] }\n${GOOD}`);
    expect(lines(problems)).toEqual(['provenance.secret[0] must have at least 16 characters']);
    expect(JSON.stringify(problems)).not.toContain('shortsecret');
    expect(lines(problemsOf(`provenance: { secret: 7 }\n${GOOD}`))).toEqual([
      'provenance.secret must be a secret, or a list of them',
    ]);
  });

  it.each([
    ['file:s.db', undefined],
    ['redis://h', { windowMillis: 86_400_000, maxIds: 10_000_000, id: { kind: 'origin' }, onStateLoss: 'continue' }],
  ])('with the state %s a mirror that says nothing of it has the window %j', (state, dedup) => {
    expect(parseConfig(`state: "${state}"\n${GOOD}`, 'c', {}).links[0]?.mirrors[0]?.dedup).toEqual(dedup);
  });

  it('a second link between the same clusters is refused', () => {
    expect(lines(problemsOf(`${GOOD}  again: { from: rmq-east, to: pulsar-west }\n`))).toEqual([
      'links.again joins the same clusters as the link "east-west"',
    ]);
  });

  it('two tokens alike are refused, without showing them', () => {
    const text = `http: { tokens: [{ name: a, token: 0123456789abcdef, role: admin }, { name: a, token: 0123456789abcdef, role: read }] }\n${GOOD}`;
    const problems = problemsOf(text);
    expect(problems.map(({ path }) => path)).toEqual(['http.tokens[1].name', 'http.tokens[1].token']);
    expect(JSON.stringify(problems)).not.toContain('0123456789abcdef');
  });

  it('mirrors that overlap are refused with a topic that both take', () => {
    const text = `${GOOD}      europe: { topics: ["*-eu"], rename: "persistent://public/eu/{topic}" }\n`;
    expect(problemsOf(text)).toEqual([
      {
        path: 'links.east-west.mirrors.europe.topics',
        message: 'overlaps with the mirror "orders": both take a topic like "orders-eu", whose records would be stored twice',
        hint: 'leave them out here with exclude: ["orders-*"]',
        line: 11,
        column: 25,
      },
    ]);
    expect(problemsOf(text.replace('["*-eu"]', '["*-eu"], exclude: ["orders-*"]'))).toEqual([]);
  });

  it('mirrors that write one target topic are refused', () => {
    const text = `${GOOD}      audit: { topics: [audit], rename: "persistent://public/default/orders-audit" }\n`;
    expect(lines(problemsOf(text))).toEqual([
      'links.east-west.mirrors.audit.rename gives "persistent://public/default/orders-audit" to a topic, and so does the mirror "orders" to another: their order would be mixed',
    ]);
  });
});

describe('hostile files', () => {
  it.each([
    ['no text at all', '', 'must be a mapping'],
    ['a list', '- 1', 'must be a mapping'],
    ['a syntax error', 'a: [1, 2\nb: 3', 'line '],
    ['two documents', 'a: 1\n---\nb: 2', 'document'],
    ['an unknown tag', `state: !env FOO\n${GOOD}`, 'tag'],
    ['an unknown alias', 'a: *b', 'alias'],
    [
      'a bomb of aliases',
      `${'abcdefghij'
        .split('')
        .map(
          (c, i) =>
            `${c}: &${c} [${
              i === 0
                ? '1'
                : Array(9)
                    .fill(`*${'abcdefghij'[i - 1]}`)
                    .join(',')
            }]`,
        )
        .join('\n')}\n`,
      'alias',
    ],
    ['bytes', '\u0000\u0001\u0002', ''],
    ['keys of the prototype', '__proto__: { region: west }\nconstructor: 1\ntoString: 2', ''],
  ])('%s is refused with a problem', (_, text, part) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(JSON.stringify(problems).toLowerCase()).toContain(part);
  });
});

describe('a file that cannot be read', () => {
  it.each([
    ['config/nowhere.yaml', 'does not exist'],
    ['config', 'is a folder'],
  ])('%s %s', (path, reason) => {
    expect(() => loadConfig(path, {})).toThrow(reason);
  });
});
