import { describe, expect, it } from 'vitest';
import { createLog } from '../../../src/metrics/log.ts';

function collected(level: Parameters<typeof createLog>[0] = 'debug'): { log: ReturnType<typeof createLog>; lines: string[] } {
  const lines: string[] = [];
  return { log: createLog(level, { write: (line) => void lines.push(line) }), lines };
}

describe('log', () => {
  it('writes one JSON line per event: level, time, event, then the facts', () => {
    const { log, lines } = collected();
    log
      .child({ link: 'east-west' })
      .child({ lane: '3' })
      .warn('lane-waits', { code: 'BROKER_BUSY', tries: 2, gone: undefined, error: null });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{"level":"warn","time":"\d{4}-\d\d-\d\dT[\d:.]+Z","event":"lane-waits",.*\}\n$/);
    const { time: _, ...rest } = JSON.parse(lines[0] ?? '');
    expect(rest).toEqual({
      level: 'warn',
      event: 'lane-waits',
      link: 'east-west',
      lane: '3',
      code: 'BROKER_BUSY',
      tries: 2,
      error: null,
    });
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = collected('warn');
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['c', 'd']);
  });

  it.each([
    [{ password: 'hunter2' }],
    [{ secretKey: 'hunter2' }],
    [{ accessKey: 'hunter2' }],
    [{ auth_token: 'hunter2' }],
    [{ Authorization: 'hunter2' }],
    [{ url: 'redis://:hunter2@127.0.0.1:6379/0' }],
    [{ url: 'rediss://user:hunter2@host' }],
    [{ detail: 'GET http://ops:hunter2@host/admin failed' }],
    [{ detail: 'refused header Bearer hunter2 of the client' }],
    [{ detail: 'token eyJhbGciOiJI.hunter2hunter2.sig was refused' }],
  ])('never writes the secret of %j, in a line or from a child', (fields) => {
    const { log, lines } = collected();
    log.info('event', fields);
    log.child(fields).info('event');
    expect(lines).toHaveLength(2);
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('[redacted]');
  });

  it('keeps addresses without credentials as they are', () => {
    const { log, lines } = collected();
    log.info('event', { url: 'redis://127.0.0.1:6379/0', topic: 'persistent://public/default/a@b' });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      url: 'redis://127.0.0.1:6379/0',
      topic: 'persistent://public/default/a@b',
    });
  });

  it('cuts texts that have no end, and keeps one line whatever they hold', () => {
    const { log, lines } = collected();
    log.info('event', { detail: `a\n"b"\u0000${'x'.repeat(100_000)}` });
    expect(lines[0]?.length).toBeLessThan(2_200);
    expect(lines[0]?.split('\n')).toHaveLength(2);
    expect(JSON.parse(lines[0] ?? '').detail).toMatch(/^a\n"b"/);
  });
});
