import { IsthmusError } from '../../errors.ts';
import { refusal } from './refusal.ts';
import { ResponseCode } from './wire/codes.ts';
import type { Command } from './wire/command.ts';
import { type PullHeader, readPullHeader } from './wire/pull-message.ts';

/**
 * What an answer to a pull means. `doubt`: it looks as if the queue had lost what we know was there; the same answer also comes for a
 * moment when a broker is behind with its index, so it has to repeat before it counts.
 */
export type Verdict =
  | { readonly kind: 'found'; readonly header: PullHeader }
  /** Nothing at or after the asked offset yet. */
  | { readonly kind: 'empty'; readonly header: PullHeader }
  | { readonly kind: 'gap'; readonly reason: 'expired' | 'reset'; readonly to: number; readonly header: PullHeader }
  | {
      readonly kind: 'doubt';
      readonly reason: 'truncated' | 'recreated' | 'expired';
      readonly to: number;
      readonly header: PullHeader;
    }
  /** An operator set our group's offset back; the broker says so once, and we go on where we are. */
  | { readonly kind: 'reset-back'; readonly to: number; readonly header: PullHeader }
  | { readonly kind: 'trouble'; readonly error: IsthmusError; readonly groupMissing: boolean };

/** Judges the answer to a pull at `asked`. Throws PROTOCOL_VIOLATION when its numbers make no sense. */
export function judge(answer: Command, asked: number, doing: string): Verdict {
  switch (answer.code) {
    case ResponseCode.SUCCESS:
      return found(readPullHeader(answer), asked, doing);
    case ResponseCode.PULL_NOT_FOUND:
      return empty(readPullHeader(answer), asked, doing);
    case ResponseCode.PULL_RETRY_IMMEDIATELY:
      return retry(answer, asked, doing);
    case ResponseCode.PULL_OFFSET_MOVED:
      return moved(answer, asked, doing);
    default:
      return {
        kind: 'trouble',
        error: refusal(answer, doing),
        groupMissing: answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      };
  }
}

function trouble(message: string): Verdict {
  return { kind: 'trouble', error: new IsthmusError('BROKER_BUSY', message), groupMissing: false };
}

function found(header: PullHeader, asked: number, doing: string): Verdict {
  if (header.nextOffset <= asked)
    throw new IsthmusError(
      'PROTOCOL_VIOLATION',
      `${doing}: after offset ${asked} the broker wants ${header.nextOffset} to follow`,
    );
  return { kind: 'found', header };
}

function empty(header: PullHeader, asked: number, doing: string): Verdict {
  // OFFSET_FOUND_NULL: the queue's index has a hole. Whatever lies there is never skipped.
  if (asked < header.maxOffset)
    return trouble(`${doing}: the broker finds no message at offset ${asked} although its queue ends at ${header.maxOffset}`);
  return { kind: 'empty', header };
}

/** MESSAGE_WAS_REMOVING (the file is being deleted), or a replica that sends readers to its master. Our subscription matches everything. */
function retry(answer: Command, asked: number, doing: string): Verdict {
  const header = readPullHeader(answer);
  if (header.nextOffset > asked) return { kind: 'doubt', reason: 'expired', to: header.nextOffset, header };
  return trouble(`${doing}: the broker asks to try again (${answer.remark.slice(0, 100)})`);
}

function moved(answer: Command, asked: number, doing: string): Verdict {
  const header = readPullHeader(answer);
  const { remark } = answer;
  if (remark.includes('OFFSET_RESET')) {
    if (header.nextOffset > asked) return { kind: 'gap', reason: 'reset', to: header.nextOffset, header };
    return { kind: 'reset-back', to: header.nextOffset, header };
  }
  if (remark.includes('NO_MESSAGE_IN_QUEUE') || remark.includes('NO_MATCHED_LOGIC_QUEUE'))
    return { kind: 'doubt', reason: 'recreated', to: 0, header };
  if (asked < header.minOffset) return { kind: 'gap', reason: 'expired', to: header.minOffset, header };
  if (asked > header.maxOffset) return { kind: 'doubt', reason: 'truncated', to: header.maxOffset, header };
  // Between the two: the queue has grown to this offset while the answer was made.
  return trouble(
    `${doing}: the broker moved offset ${asked} (${remark.slice(0, 100)}), its queue is [${header.minOffset}, ${header.maxOffset})`,
  );
}
