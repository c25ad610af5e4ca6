import type { IsthmusError } from '../errors.ts';
import type { Trouble } from './api.ts';

const MAX_MESSAGE = 500;

/** What people are shown of an error; `since` in milliseconds since 1970. The log has the whole text. */
export function toTrouble(error: IsthmusError, since: number): Trouble {
  return { code: error.code, message: error.message.slice(0, MAX_MESSAGE), since };
}
