import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditTopic } from '../../../../src/mirror/audit/audit.ts';
import { Findings } from '../../../../src/mirror/audit/findings.ts';
import type { AuditDeps, AuditSizes, TopicScope } from '../../../../src/mirror/audit/plan.ts';
import { BEFORE_ALL, formatPosition } from '../../../../src/model/position.ts';
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
