/** What a drill has come to: everything that its report shows. Times are milliseconds since 1970. */

/** One assertion. */
export type Check = {
  readonly name: string;
  readonly expected: string;
  readonly measured: string;
  readonly passed: boolean;
  /** Up to a few records to look up, or what to do next. */
  readonly detail?: readonly string[];
};

export type Moment = { readonly at: number; readonly text: string; readonly kind: 'step' | 'fault' | 'seen' };

/** A consumer group that went from the source to the target. */
export type GroupResult = {
  readonly group: string;
  /** `push to Failover`: the consumers of the official clients on either side. */
  readonly consumers: string;
  readonly placeKind: string;
  /** Records that were to be read again; null when that was not known. */
  readonly predicted: number | null;
  readonly readAgain: number;
  readonly doneAtSource: number;
  readonly gotAtTarget: number;
  /** Records of the target that it had not done and has not got. */
  readonly missed: number;
  /** From the fault, or the start of the failover, to its first record on the target; null: it got none. */
  readonly firstAfterMillis: number | null;
};

/** Records in one second of the drill. */
export type Second = { readonly written: number; readonly arrived: number };

export type DrillResult = {
  readonly drill: string;
  readonly title: string;
  readonly says: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly source: string;
  readonly target: string;
  readonly state: string;
  readonly timeline: readonly Moment[];
  readonly checks: readonly Check[];
  readonly groups: readonly GroupResult[];
  readonly seconds: readonly Second[];
  /** What the replicator said of the failover, with its plan and its certificate; null where there was none. */
  readonly failover: unknown;
  /** What broke the drill off; null when it came to its end. */
  readonly brokenOff: string | null;
  /** The replicator's configuration and log. */
  readonly files: readonly string[];
};

/** A drill that was broken off, or checked nothing, has shown nothing. */
export function hasPassed({ checks, brokenOff }: Pick<DrillResult, 'checks' | 'brokenOff'>): boolean {
  return brokenOff === null && checks.length > 0 && checks.every(({ passed }) => passed);
}

/** A number that has to be this one. */
export function equals(name: string, expected: number, measured: number, detail: readonly string[] = []): Check {
  return { name, expected: String(expected), measured: String(measured), passed: measured === expected, detail };
}

export function atMost(name: string, limit: number, measured: number | null, unit = ''): Check {
  const suffix = unit === '' ? '' : ` ${unit}`;
  const shown = measured === null ? 'never' : `${Number(measured.toFixed(1))}${suffix}`;
  return { name, expected: `at most ${limit}${suffix}`, measured: shown, passed: measured !== null && measured <= limit };
}

/** A number that must not be zero: what was never exercised proves nothing. */
export function some(name: string, measured: number): Check {
  return { name, expected: 'more than 0', measured: String(measured), passed: measured > 0 };
}
