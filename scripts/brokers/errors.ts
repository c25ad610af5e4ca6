/** A failure that the person at the terminal can act on; shown without a stack trace. */
export class BrokersError extends Error {
  /** 2: something has to be installed or the command is wrong; 1: anything else. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'BrokersError';
    this.exitCode = exitCode;
  }
}

/** Takes one line of progress for people. */
export type Report = (line: string) => void;
