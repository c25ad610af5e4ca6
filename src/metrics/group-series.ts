import type { Gauge } from 'prom-client';

/** Groups with series of their own; what comes beyond counts in its link alone. */
export const MAX_GROUPS = 5_000;

/** A group that follows, as it is now. */
export interface GroupRow {
  readonly link: string;
  readonly group: string;
  readonly state: string;
  /** `null` while unknown. */
  readonly rereads: number | null;
  /** Since it was last in step; `null` before the first time. */
  readonly syncAgeSeconds: number | null;
}

export interface GroupGauges {
  readonly age: Gauge;
  readonly rereads: Gauge;
  readonly groups: Gauge;
}

/** Sets the series of groups anew, so that those of a group that is gone are gone. */
export function publishGroups({ age, rereads, groups }: GroupGauges, rows: Iterable<GroupRow>): void {
  for (const each of [age, rereads, groups]) each.reset();
  let count = 0;
  for (const { link, group, state, rereads: records, syncAgeSeconds } of rows) {
    groups.inc({ link, state });
    if (++count > MAX_GROUPS) continue;
    if (syncAgeSeconds !== null) age.set({ link, group }, syncAgeSeconds);
    if (records !== null) rereads.set({ link, group }, records);
  }
}
