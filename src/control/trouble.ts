import type { ErrorCode, IsthmusError } from '../errors.ts';

const MAX_MESSAGE = 500;

/** What is wrong with something that goes on trying, or that has stopped. */
export interface Trouble {
  readonly code: ErrorCode;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** What people are shown of an error; `since` in milliseconds since 1970. The log has the whole text. */
export function toTrouble(error: IsthmusError, since: number): Trouble {
  return { code: error.code, message: error.message.slice(0, MAX_MESSAGE), since };
}
