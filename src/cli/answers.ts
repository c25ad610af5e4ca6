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
    readonly stored: number;
    readonly replayed: number;
    readonly refused: number;
  }[];
  readonly letters: readonly {
    readonly at: string;
    readonly topic: string;
    readonly lane: string;
    readonly position: string;
    readonly reason: string;
    readonly stored: boolean;
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

export interface GroupPlaceAnswer {
  readonly partition: number;
  readonly lane: string;
  readonly kind: string;
  readonly next: string | null;
  readonly was: string | null;
  readonly rereads: number | null;
  readonly outcome: string | null;
  readonly reason: string | null;
}

export interface GroupTopicAnswer {
  readonly mirror: string;
  readonly topic: string;
  readonly targetTopic: string;
  readonly source: Readonly<Record<string, string>>;
  readonly sourceHoles: number;
  readonly behindBecause: string | null;
  readonly kind: string;
  readonly rereads: number | null;
  readonly ahead: number | null;
  readonly places: readonly GroupPlaceAnswer[];
  readonly state: string;
  readonly syncedAt: string | null;
}

export interface GroupAnswer {
  readonly group: string;
  readonly targetGroup: string;
  readonly kind: string;
  readonly state: string;
  readonly topics: readonly GroupTopicAnswer[];
}

export interface LinkGroupsAnswer {
  readonly link: string;
  readonly apply: 'idle' | 'never' | 'off';
  readonly passAt: string | null;
  readonly trouble: TroubleAnswer | null;
  readonly groups: readonly GroupAnswer[];
}

export interface GroupsAppliedAnswer {
  readonly link: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly trouble: TroubleAnswer | null;
  readonly groups: readonly GroupAnswer[];
}

export interface PositionAnswer {
  readonly mirror: string;
  readonly targetTopic: string;
  readonly kind: string;
  readonly ahead: number | null;
  readonly places: readonly GroupPlaceAnswer[];
}

export interface LaneRiskAnswer {
  readonly mirror: string;
  readonly topic: string;
  readonly lane: string;
  readonly next: string | null;
  readonly end: string | null;
  readonly records: number | null;
}

export interface FailoverPlanAnswer {
  readonly link: string;
  readonly from: string;
  readonly to: string;
  readonly kind: string;
  readonly sourceAt: string;
  readonly sourceAway: string | null;
  readonly groups: readonly GroupAnswer[];
  readonly atRisk: readonly LaneRiskAnswer[];
  readonly blockers: readonly string[];
  readonly pending: readonly string[];
  readonly warnings: readonly string[];
}

export interface PlacedAnswer {
  readonly kind: string;
  readonly rereads: number | null;
  readonly atLeast: boolean;
}

export interface FailoverAnswer {
  readonly id: string;
  readonly link: string;
  readonly kind: string;
  readonly state: 'running' | 'done' | 'failed' | 'aborted';
  readonly step: string;
  readonly steps: readonly {
    readonly step: string;
    readonly startedAt: string;
    readonly endedAt: string | null;
    readonly detail: string;
  }[];
  readonly plan: FailoverPlanAnswer;
  readonly certificate: {
    readonly groups: readonly {
      readonly group: string;
      readonly targetGroup: string;
      readonly topic: string;
      readonly targetTopic: string;
      readonly predicted: PlacedAnswer | null;
      readonly actual: PlacedAnswer;
      readonly state: string;
    }[];
    readonly recordsLeftBehind: number | null;
    readonly leftBehind: readonly LaneRiskAnswer[];
    readonly unseenSeconds: number;
    readonly pausedMirrors: readonly string[];
  } | null;
  readonly trouble: TroubleAnswer | null;
}

export interface FailbackListingAnswer {
  readonly id: string;
  readonly since: string;
  readonly records: number;
  readonly unkeyed: number;
  readonly keys: number;
  readonly untracked: number;
  readonly conflicts: number;
  readonly lanes: readonly {
    readonly mirror: string;
    readonly topic: string;
    readonly lane: string;
    readonly from: string;
    readonly end: string;
    readonly records: number;
    readonly stored: number;
    readonly fromTarget: number;
  }[];
  readonly listed: readonly {
    readonly topic: string;
    readonly lane: string;
    readonly position: string;
    readonly time: string;
    readonly key: string | null;
  }[];
  readonly keyList: readonly {
    readonly topic: string;
    readonly key: string;
    readonly records: number;
    readonly newest: string;
    readonly onTarget: number;
    readonly newestOnTarget: string | null;
  }[];
  readonly notes: readonly string[];
}

export interface FailbackAnswer {
  readonly link: string;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  readonly phase: string;
  readonly policy: string | null;
  readonly reviewTopic: string | null;
  readonly topic: string;
  readonly read: number;
  readonly reviewed: number;
  readonly resumed: readonly string[];
  readonly listing: FailbackListingAnswer | null;
  readonly next: readonly string[];
  readonly trouble: TroubleAnswer | null;
}
