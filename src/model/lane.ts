/** One ordered stretch of a topic: a RocketMQ queue (`broker-a:3`) or a Pulsar partition (`3`). */
export interface LaneId {
  readonly topic: string;
  readonly lane: string;
}

/** A lane as its cluster describes it. */
export interface LaneInfo {
  readonly lane: string;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A topic as its cluster describes it. Lanes are in the cluster's own order (brokers by name, then queue id). */
export interface TopicDescription {
  readonly topic: string;
  readonly lanes: readonly LaneInfo[];
  /** What else the cluster says of the topic (message type, retention, ...), for people to read. */
  readonly settings: Readonly<Record<string, string>>;
}

/** One text for maps and logs; a topic name never holds a `#`. */
export function laneKey(id: LaneId): string {
  return `${id.topic}#${id.lane}`;
}
