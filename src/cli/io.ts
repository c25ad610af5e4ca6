import type { Environment } from '../config/references.ts';

/** What the command line touches of the outside. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly environment: Environment;
  /** All of standard input. */
  input(): Promise<string>;
  /** Shows a line on standard error that replaces the one before; an empty one clears it. Left out where nobody watches. */
  progress?(text: string): void;
  /** Calls once when the person interrupts; the process then ends as usual when it has nothing left to do. The returned function takes that back. */
  onInterrupt?(run: () => void): () => void;
}

/** The process's own. */
export function processIo(): Io {
  // Somebody who reads only the first lines (`isthmus lanes | head`) closes the pipe; that is no failure.
  process.stdout.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    environment: process.env,
    ...(process.stderr.isTTY ? { progress } : {}),
    onInterrupt(run) {
      process.once('SIGINT', run);
      return () => void process.off('SIGINT', run);
    },
    async input() {
      const chunks: Buffer[] = [];
      for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
      return Buffer.concat(chunks).toString('utf8');
    },
  };
}

function progress(text: string): void {
  const width = Math.max(20, process.stderr.columns - 1);
  process.stderr.write(`\r${text.slice(0, width)}\u001b[K`);
}

/** What the exit code of every command tells. */
export const EXIT = {
  ok: 0,
  /** Something is wrong, or did not work. */
  failed: 1,
  /** The command line, the configuration or the request is not right; nothing was done. */
  input: 2,
  /** The process does not answer. */
  unreachable: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that ends without its result: what went wrong, and what to do. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** For `--json`. */
  readonly details: object;

  constructor(exitCode: ExitCode, message: string, details: object = {}, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
    this.details = details;
  }
}

/** Names come from brokers: what would steer the terminal is shown, not done. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

type Cell = string | number | null | undefined;

/** Columns under their heads, numbers to the right; what is not known is a dash. */
export function table(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en-US') : printable(cell ?? '-'))),
  );
  const widths = heads.map((head, column) => Math.max(head.length, ...texts.map((row) => row[column]?.length ?? 0)));
  const numeric = heads.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number' || row[column] === null),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (numeric[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(heads), ...texts.map(line)].join('\n');
}
