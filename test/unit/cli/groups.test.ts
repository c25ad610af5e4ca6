import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN, type Api, startApi } from '../http/kit.ts';
import { cli, type Outcome } from './kit.ts';

let api: Api;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.server.close());
const ask = (args: readonly string[]): Promise<Outcome> =>
  cli([...args, '--url', api.server.url], { environment: { ISTHMUS_TOKEN: ADMIN } });

describe('isthmus groups', () => {
  it('shows them, and one with its places', async () => {
    const { code, out } = await ask(['groups', 'east-west']);
    expect([code, out]).toEqual([0, expect.stringMatching(/billing +orders-eu +synced +floor +7/)]);
    expect((await ask(['groups', 'east-west', 'billing'])).out).toContain('812:45');
  });
});

describe('isthmus groups apply', () => {
  it('moves them as the sync does, and says what became of each place', async () => {
    const { code, out } = await ask(['groups', 'apply', 'east-west']);
    expect([code, out]).toEqual([0, expect.stringMatching(/billing +persistent:\S+ 3 +812:51 +812:45 +floor +7 +applied/)]);
    expect(api.control.groups.applied).toEqual([{ link: 'east-west', force: false, dryRun: false }]);
  });

  it('changes nothing by force without --yes, and shows what it would come to', async () => {
    const { code, out, err } = await ask(['groups', 'apply', 'east-west', 'billing', '--topic', 'orders-eu', '--force']);
    expect([code, err]).toEqual([0, 'nothing is changed without --yes']);
    expect(out).toContain('would be moved by force');
    const asked = { link: 'east-west', group: 'billing', topic: 'orders-eu', force: true };
    expect(api.control.groups.applied).toEqual([{ ...asked, dryRun: true }]);
    expect((await ask(['groups', 'apply', 'east-west', 'billing', '--topic', 'orders-eu', '--force', '--yes'])).err).toBe('');
    expect(api.control.groups.applied[1]).toEqual({ ...asked, dryRun: false });
  });

  it('prints the answer of the API where JSON is asked for', async () => {
    const { out } = await ask(['groups', 'apply', 'east-west', '--force', '--yes', '--json']);
    expect(JSON.parse(out)).toMatchObject({ force: true, groups: [{ group: 'billing' }] });
  });

  it('ends as a failure where a group is not in its place', async () => {
    api.control.groups.outcome = 'waiting';
    expect((await ask(['groups', 'apply', 'east-west'])).code).toBe(1);
    expect((await ask(['groups', 'apply', 'east-west', 'nobody'])).code).toBe(2);
  });
});
