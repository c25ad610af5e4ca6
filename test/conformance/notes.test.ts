import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StateStore } from '../../src/spi/state-store.ts';
import { type Place, storeKinds } from './stores.ts';

describe.each(storeKinds)('notes: $name', (kind) => {
  let place: Place;
  let store: StateStore;

  beforeAll(() => kind.start());
  afterAll(() => kind.stop());
  beforeEach(async () => {
    place = await kind.place();
    store = await place.open();
  });
  afterEach(() => store.close());

  it('are kept by name over a reopening, replaced and deleted', async () => {
    expect(await store.loadNote('failover/a')).toBeUndefined();
    await store.saveNote('failover/a', '1');
    await store.saveNote("x'; --", '{"名":2}');
    await store.saveNote('failover/a', '3');
    await store.close();
    store = await place.open();
    expect([await store.loadNote('failover/a'), await store.loadNote("x'; --")]).toEqual(['3', '{"名":2}']);
    await store.saveNote('failover/a', undefined);
    await store.saveNote('failover/a', undefined);
    expect(await store.loadNote('failover/a')).toBeUndefined();
  });
});
