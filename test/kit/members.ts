/** Members of consumer groups, as applications have them: of the official Java clients, consuming until they are stopped. */
import type { Ask } from './eyes.ts';

export type MemberOptions = {
  readonly topic: string;
  readonly group: string;
  /** Takes no more after so many messages, and stays connected. */
  readonly stopAfter?: number;
  /** Every so-manieth message is not acknowledged. A RocketMQ consumer then has no order, gives those back to get them later, and also whatever comes after `stopAfter`. */
  readonly leaveEvery?: number;
  /** Property that tells messages apart, default `seq`. */
  readonly idProperty?: string;
} & (
  | { readonly namesrv: string }
  | { readonly serviceUrl: string; readonly type: 'Exclusive' | 'Failover' | 'Shared' | 'Key_Shared' }
);

/** A message that it has got. */
export type MemberRow = {
  readonly lane: string;
  /** Offset (RocketMQ), or ledger:entry (Pulsar). */
  readonly place: string;
  readonly id: string;
  readonly key: string | null;
  readonly acknowledged: boolean;
  /** Microseconds since 1970. */
  readonly at: number;
  /** Messages in its Pulsar entry; else 1. */
  readonly batchSize: number;
};

export type Member = {
  /** How many messages it has got so far. */
  received(): Promise<number>;
  /** Shuts it down as an application is, and gives what it has got, in order of arrival. */
  stop(): Promise<readonly MemberRow[]>;
};

type Row = readonly [
  lane: string,
  place: string,
  id: string,
  key: string | null,
  acknowledged: boolean,
  at: number,
  batchSize: number,
];

export async function startMember(ask: Ask, options: MemberOptions): Promise<Member> {
  const member = await ask<number>({ verb: 'member-start', ...options });
  return {
    received: async () => await ask<number>({ verb: 'member-look', member }),
    stop: async () => {
      const rows: MemberRow[] = [];
      await ask<number, Row>({ verb: 'member-stop', member }, ([lane, place, id, key, acknowledged, at, batchSize]) =>
        rows.push({ lane, place, id, key, acknowledged, at, batchSize }),
      );
      return rows;
    },
  };
}
