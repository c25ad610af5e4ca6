import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditTopic } from '../../../../src/mirror/audit/audit.ts';
import { Findings } from '../../../../src/mirror/audit/findings.ts';
import type { AuditDeps, AuditSizes, TopicScope } from '../../../../src/mirror/audit/plan.ts';
import { BEFORE_ALL, entryPosition, formatPosition, offsetPosition } from '../../../../src/model/position.ts';
import { formatProvenance } from '../../../../src/model/provenance.ts';
import { SeededRandom } from '../../../simulation/random.ts';
import { makeHistory, textOf } from './history.ts';
import { ArraySource, auditDeps, type FakeRecord, newProgress } from './kit.ts';

type Lanes = ReadonlyMap<string, readonly FakeRecord[]>;

interface Outcome {
  readonly findings: Findings;
  readonly texts: readonly string[];
  readonly sendable: readonly string[];
}

function clusters(source: Lanes, target: Lanes, batchRecords = 7): { east: ArraySource; west: ArraySource } {
  const [east, west] = [new ArraySource(batchRecords), new ArraySource(batchRecords)];
  for (const [lane, records] of source) east.lanes.set(`orders#${lane}`, [...records]);
  for (const [lane, records] of target) west.lanes.set(`copy#${lane}`, [...records]);
  return { east, west };
}

async function scopeOf(east: ArraySource, source: Lanes, target: Lanes): Promise<TopicScope> {
  const partitions = [...target.keys()].map(Number);
  const lanes = await Promise.all(
    [...source.keys()].map(async (lane) => ({
      lane,
      from: (await east.resolveStart({ topic: 'orders', lane }, { kind: 'earliest' })) ?? BEFORE_ALL,
      to: await east.resolveStart({ topic: 'orders', lane }, { kind: 'latest' }),
      partitions,
    })),
  );
  return {
    topic: 'orders',
    targetTopic: 'copy',
    lanes,
    targetLanes: [...target.keys()],
    stored: new Map(),
    targetSince: undefined,
    startsInside: false,
  };
}

async function audit(scope: TopicScope, deps: AuditDeps): Promise<Outcome> {
  const findings = new Findings();
  const sendable: string[] = [];
  await auditTopic({
    scope,
    deps,
    findings,
    progress: newProgress(),
    onMissing: (lane, position) => void sendable.push(`${lane} ${formatPosition(position)}`),
  });
  return { findings, texts: findings.listed.map(textOf).sort(), sendable };
}

/** Leaves out what has the tag `out`. */
const TAGGED: AuditDeps['stages'] = () => [
  (batch, verdicts) => {
    for (let i = 0; i < batch.count; i++) if (batch.text(batch.tagStart[i], batch.tagEnd[i]) === 'out') verdicts[i] = 'tag';
  },
];

/** So small that a short history fills and merges them. */
const SMALL: Partial<AuditSizes> = { blockRecords: 2, maxBlocks: 24, maxSegmentCells: 24, roundRecords: 9, keys: 64 };

describe('comparing a topic with its copy', () => {
  it('finds exactly what is missing, doubled, changed and out of order, whatever was planted', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.constantFrom<Partial<AuditSizes>>(SMALL, { keys: 64 }),
        fc.integer({ min: 1, max: 40 }),
        async (seed, sizes, batchRecords) => {
          const { source, target, expected } = makeHistory(new SeededRandom(seed));
          const { east, west } = clusters(source, target, batchRecords);
          const { texts } = await audit(await scopeOf(east, source, target), auditDeps(east, west, { stages: TAGGED }, sizes));
          expect(texts).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});

/** One lane of `count` records, and a faithful copy of it. */
function faithful(count: number): { source: Map<string, FakeRecord[]>; target: Map<string, FakeRecord[]> } {
  const records = Array.from({ length: count }, (_, i) => ({
    position: offsetPosition(i),
    body: `body ${i}`,
    key: `k${i % 3}`,
    time: i * 1_000,
  }));
  const copies = records.map((record, i) => ({ ...record, position: entryPosition(9, i, 0), mark: markOf(i) }));
  return { source: new Map([['0', records]]), target: new Map([['0', copies]]) };
}

const markOf = (offset: number): string =>
  formatProvenance({
    cluster: 'east',
    topic: 'orders',
    lane: '0',
    runs: [{ first: offsetPosition(offset), count: 1 }],
    time: 0,
    passed: [],
  });

describe('a comparison', () => {
  it('only looks: it reads as an onlooker, and holds nothing when it has ended', async () => {
    const { source, target } = faithful(50);
    target.get('0')?.splice(20, 1);
    const { east, west } = clusters(source, target);
    const deps = auditDeps(east, west, {}, { keys: 64 });
    await audit(await scopeOf(east, source, target), deps);
    expect([...east.opened, ...west.opened].every(({ options }) => options.onlook === true)).toBe(true);
    expect(deps.budget.usedBytes).toBe(0);
  });

  it('reads each side once where both are equal', async () => {
    const { source, target } = faithful(500);
    const { east, west } = clusters(source, target);
    const { findings } = await audit(
      await scopeOf(east, source, target),
      auditDeps(east, west, {}, { ...SMALL, maxBlocks: 1_000 }),
    );
    expect([findings.faults, east.opened.length, west.opened.length]).toEqual([0, 1, 1]);
  });

  it('reads again only near what is wrong', async () => {
    const { source, target } = faithful(1_000);
    target.get('0')?.splice(700, 1);
    const { east, west } = clusters(source, target);
    const sizes = { blockRecords: 10, maxBlocks: 1_000, maxSegmentCells: 1_000, keys: 64 };
    const progress = newProgress();
    await auditTopic({
      scope: await scopeOf(east, source, target),
      deps: auditDeps(east, west, {}, sizes),
      findings: new Findings(),
      progress,
      onMissing: () => undefined,
    });
    expect(progress).toMatchObject({
      blocks: 100,
      unequalBlocks: 1,
      comparedRecords: 10,
      sourceRecords: 1_000,
      targetRecords: 999,
    });
    expect(east.opened.at(-1)?.from.major).toBe(700);
  });

  it('counts differences in the minute in which the source has stored the record', async () => {
    const { source, target } = faithful(200);
    target.get('0')?.splice(130, 2);
    const { east, west } = clusters(source, target);
    const { findings } = await audit(await scopeOf(east, source, target), auditDeps(east, west, {}, { keys: 64 }));
    expect(findings.minutes.map(({ minute, counts }) => [minute, counts.missing])).toEqual([[120_000, 2]]);
  });

  it('does not miss a record that its source could not read, nor one that is a dead letter', async () => {
    const { source, target } = faithful(30);
    source.get('0')?.splice(4, 1, { position: offsetPosition(4), body: 'b', damage: 'it does not decompress' });
    target.get('0')?.splice(9, 1);
    target.get('0')?.splice(4, 1);
    const { east, west } = clusters(source, target);
    const deadLetters: AuditDeps['deadLetters'] = async () => ({ has: (_, { major }) => major === 9 });
    const { findings } = await audit(await scopeOf(east, source, target), auditDeps(east, west, { deadLetters }, { keys: 64 }));
    expect([findings.faults, Object.fromEntries(findings.absences)]).toEqual([0, { damaged: 1, 'dead-lettered': 1 }]);
  });

  it('counts all and lists some, when everything is wrong', async () => {
    const { source } = faithful(2_000);
    const target = new Map<string, FakeRecord[]>([['0', []]]);
    const { east, west } = clusters(source, target, 100);
    const { findings, sendable } = await audit(await scopeOf(east, source, target), auditDeps(east, west, {}, { keys: 64 }));
    expect([findings.counts.missing, findings.listed.length]).toEqual([2_000, 250]);
    expect(sendable).toHaveLength(2_000);
  });

  it('says so when the target changes under it, instead of calling lost what was deleted', async () => {
    const { source, target } = faithful(300);
    target.get('0')?.splice(200, 1);
    const { east, west } = clusters(source, target);
    const scope = await scopeOf(east, source, target);
    // In the second pass.
    west.onRead = () => west.opened.length > 1 && west.trimmed.set('copy#0', 250);
    await expect(audit(scope, auditDeps(east, west, {}, { keys: 64 }))).rejects.toMatchObject({
      code: 'CONFLICT',
      retryable: true,
    });
  });

  it('ends at once when it is told to', async () => {
    const { source, target } = faithful(100);
    const { east, west } = clusters(source, target);
    const abort = new AbortController();
    east.onRead = () => abort.abort(new Error('enough'));
    await expect(audit(await scopeOf(east, source, target), auditDeps(east, west, { signal: abort.signal }))).rejects.toThrow(
      'enough',
    );
  });
});
