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
