import { type DestinationStream, type Logger, pino } from 'pino';
import type { Log, LogFields } from '../spi/log.ts';

/** Longer texts are cut: an error message may hold what a peer sent. */
const MAX_TEXT = 2_000;
const REDACTED = '[redacted]';
/** Names of fields whose values are never written. */
const SECRET_NAME = /passw|secret|token|credential|authorization|api-?key|access-?key|private-?key/i;

/**
 * JSON lines on stdout, one per event: level, time, event, then the facts; facts of a child come before those of the line.
 * Secrets have no place in a log; what slips through by its name or its form is made unreadable here.
 */
export function createLog(level: 'debug' | 'info' | 'warn' | 'error', destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return bound(destination === undefined ? pino(options) : pino(options, destination), {});
}

function bound(logger: Logger, facts: LogFields): Log {
  // Not pino's own children: those write their facts before the event.
  const line = (event: string, fields?: LogFields): Record<string, unknown> => ({ event, ...facts, ...clean(fields) });
  return {
    debug: (event, fields) => {
      if (logger.isLevelEnabled('debug')) logger.debug(line(event, fields));
    },
    info: (event, fields) => logger.info(line(event, fields)),
    warn: (event, fields) => logger.warn(line(event, fields)),
    error: (event, fields) => logger.error(line(event, fields)),
    child: (fields) => bound(logger, { ...facts, ...clean(fields) }),
  };
}

function clean(fields: LogFields | undefined): LogFields {
  const entries = Object.entries(fields ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, SECRET_NAME.test(name) ? REDACTED : readable(value)]));
}

function readable(value: LogFields[string]): LogFields[string] {
  if (typeof value !== 'string') return value;
  // Cut before the search too, which would otherwise take as long as a hostile text likes.
  const text = value
    .slice(0, 2 * MAX_TEXT)
    .replace(/(\/\/)[^/\s@]*@/g, `$1${REDACTED}@`)
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, `$1 ${REDACTED}`)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, REDACTED);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}
