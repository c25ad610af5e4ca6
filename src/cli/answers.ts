/** What the command line shows of the API's answers; docs/API.md and /openapi.json have the rest. */

export interface TroubleAnswer {
  readonly code: string;
  readonly message: string;
  readonly since: string;
}

export interface MirrorAnswer {
  readonly link: string;
  readonly name: string;
  readonly definedBy: string;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  readonly trouble: TroubleAnswer | null;
  readonly matchedTopics: readonly string[];
  readonly lanes: { readonly total: number; readonly running: number };
  readonly lagRecords: number | null;
  readonly lagSeconds: number | null;
}

export interface DifferenceCountsAnswer {
  readonly missing: number;
  readonly doubled: number;
  readonly changed: number;
  readonly reordered: number;
  readonly unexpected: number;
}

export interface DifferenceAnswer {
  readonly kind: keyof DifferenceCountsAnswer;
  readonly topic: string;
  readonly lane: string;
  readonly position: string;
  readonly time: string | null;
  readonly target: readonly { readonly lane: string; readonly position: string }[];
  readonly behind: string | null;
  readonly mayHaveExpired: boolean;
}

export interface VerificationAnswer {
  readonly id: string;
  readonly state: string;
  readonly phase: string;
  readonly topics: readonly string[];
  readonly progress: {
    readonly topic: string;
    readonly topicsDone: number;
    readonly sourceRecords: number;
    readonly sourceTotal: number | null;
    readonly targetRecords: number;
    readonly blocks: number;
    readonly unequalBlocks: number;
  };
  readonly counts: DifferenceCountsAnswer;
  readonly mayHaveExpired: number;
  readonly absences: Readonly<Record<string, number>>;
  readonly minutes: readonly { readonly minute: string; readonly counts: DifferenceCountsAnswer }[];
  readonly differences: readonly DifferenceAnswer[];
  readonly repaired: { readonly stored: number; readonly found: number; readonly left: number } | null;
  readonly notes: readonly string[];
  readonly trouble: TroubleAnswer | null;
}

export interface ReplayAnswer {
  readonly state: string;
  readonly dryRun: boolean;
  readonly topics: readonly {
    readonly topic: string;
    readonly deadLetterTopic: string;
    readonly targetTopic: string;
    readonly found: number;
    readonly unfit: number;
    readonly replayed: number;
    readonly refused: number;
  }[];
  readonly letters: readonly {
    readonly at: string;
    readonly topic: string;
    readonly lane: string;
    readonly position: string;
    readonly reason: string;
  }[];
  readonly trouble: TroubleAnswer | null;
}

export interface LaneAnswer {
  readonly topic: string;
  readonly lane: string;
  readonly targetTopic: string;
  readonly targetPartitions: readonly number[];
  readonly state: string;
  readonly next: string | null;
  readonly source: { readonly begin: string; readonly end: string } | null;
  readonly lagRecords: number | null;
  readonly lagSeconds: number | null;
  readonly recordsStored: number;
  readonly recordsDropped: number;
  readonly deadLetters: number;
  readonly gaps: readonly { readonly from: string; readonly to: string; readonly reason: string }[];
  readonly trouble: TroubleAnswer | null;
}
