import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { broken, GOOD, lines, problemsOf } from './kit.ts';

describe('references', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'isthmus-config-'));
    writeFileSync(join(folder, 'token'), 'a-token-from-a-file\n');
    writeFileSync(join(folder, 'ca.pem'), '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n');
    writeFileSync(join(folder, 'empty'), '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (): string => join(folder, 'isthmus.yaml');

  it('${NAME} takes a variable, $${ stands for itself', () => {
    const text = broken(
      'namesrv: ["127.0.0.1:9876"]',
      'namesrv: ["${RMQ_HOST}:9876"], auth: { accessKey: "$${a}", secretKey: "x${SK}y" }',
    );
    const { clusters } = parseConfig(text, 'c', { RMQ_HOST: 'rmq.example', SK: 's3cret' });
    expect(clusters['rmq-east']).toMatchObject({
      namesrv: ['rmq.example:9876'],
      auth: { accessKey: '${a}', secretKey: 'xs3crety' },
    });
  });

  it('a variable that is missing, empty or broken is named', () => {
    const text = broken('namesrv: ["127.0.0.1:9876"]', 'namesrv: ["${A}"], auth: { accessKey: "${B}", secretKey: "${C" }');
    expect(lines(problemsOf(text, { B: '' }))).toEqual([
      'clusters.rmq-east.namesrv[0] needs the environment variable A, which is not set',
      'clusters.rmq-east.auth.accessKey needs the environment variable B, which is empty',
      'clusters.rmq-east.auth.secretKey holds a broken reference, "${C"',
    ]);
  });

  it('what a variable holds is never shown, not even where it is wrong', () => {
    const text = `state: "\${S}"\nhttp: { tokens: [{ name: a, token: "\${S}", role: admin }] }\n${broken('127.0.0.1:9876', '${S}')}`;
    const problems = problemsOf(text, { S: 'hunter2' });
    expect(problems.map(({ path }) => path)).toEqual(['state', 'http.tokens[0].token', 'clusters.rmq-east.namesrv[0]']);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
    expect(problems[0]?.message).toBe('must be file:PATH or redis://host:port/database, not "${S}"');
  });

  it('file:PATH takes a secret from a file beside the configuration', () => {
    const text = `http: { tokens: [{ name: a, token: "file:token", role: admin }] }\n${GOOD}`;
    expect(parseConfig(text, file(), {}).http.tokens).toEqual([{ name: 'a', token: 'a-token-from-a-file', role: 'admin' }]);
  });

  it('a Pulsar token of a file stays a path, because it is read again later', () => {
    const text = broken('adminUrl:', 'auth: { token: "file:./token" }, adminUrl:');
    expect(parseConfig(text, file(), {}).clusters['pulsar-west']).toMatchObject({
      auth: { kind: 'token-file', path: resolve(folder, 'token') },
    });
  });

  it('certificates are read as PEM texts', () => {
    const text = broken('namesrv:', 'tls: { ca: ca.pem }, namesrv:');
    expect(parseConfig(text, file(), {}).clusters['rmq-east']).toMatchObject({
      tls: { ca: expect.stringMatching(/^-----BEGIN/), allowUntrusted: false },
    });
  });

  it.each([
    ['nowhere', 'does not exist'],
    ['empty', 'is empty'],
    ['.', 'is not a file'],
  ])('a secret in the file "%s", which %s, is a problem', (name, reason) => {
    const problems = problemsOf(`http: { tokens: [{ name: a, token: "file:${name}", role: admin }] }\n${GOOD}`, {}, file());
    expect(lines(problems)).toEqual([`http.tokens[0].token names the file ${resolve(folder, name)}, which ${reason}`]);
  });

  it('a variable cannot open a file', () => {
    const text = `http: { tokens: [{ name: a, token: "\${T}", role: admin }] }\n${GOOD}`;
    expect(parseConfig(text, file(), { T: 'file:token-that-is-none' }).http.tokens[0]?.token).toBe('file:token-that-is-none');
  });

  it.each([
    ['auth: {}', 'auth must have either token or tls'],
    ['auth: { tls: true }', 'auth.tls needs a certificate'],
    ['tls: { ca: ca.pem }', 'tls has no effect: neither address is encrypted'],
    ['tls: { key: ca.pem }, serviceUrl: "pulsar+ssl://h", x: ', 'tls.cert is missing: key needs it'],
  ])('Pulsar with %s is refused: %s', (fields, expected) => {
    const text = fields.includes('serviceUrl')
      ? GOOD.replace(/serviceUrl: "[^"]*",/, `${fields.replace(', x: ', ',')}`)
      : broken('adminUrl:', `${fields}, adminUrl:`);
    expect(lines(problemsOf(text, {}, file()))).toEqual([`clusters.pulsar-west.${expected}`]);
  });
});
