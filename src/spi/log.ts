/** Facts of a log line; never a payload, never a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One line per event. `event` is a stable kebab-case name that people can search for. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}
