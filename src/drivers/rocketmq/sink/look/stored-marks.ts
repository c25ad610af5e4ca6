import { readIdentity } from '../../message/decode.ts';
import { storedProperty } from '../../message/stored-property.ts';
import { MARK_NAME } from '../encode/names.ts';

/** Gets the offset of a message and the text of its mark, `undefined` when it has none. */
export type VisitMark = (offset: number, mark: string | undefined) => void;

/** Visits the messages of an answer to a pull. Bodies are not looked at: a look back is a look at marks. */
export function readMarks(body: Buffer, visit: VisitMark): void {
  let at = 0;
  while (at < body.length) {
    const { offset, end } = readIdentity(body, at);
    visit(offset, storedProperty(body, at, end, MARK_NAME));
    at = end;
  }
}
