import { PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';

const [STAR, ANY] = [0x2a, 0x3f];

/** Whether these bytes lie at [start, end). */
export function isAt(wanted: Buffer, bytes: Buffer, start: number, end: number): boolean {
  return end - start === wanted.length && wanted.compare(bytes, start, end) === 0;
}

/** Whether one of these texts lies at [start, end). */
export function isOneAt(wanted: readonly Buffer[], bytes: Buffer, start: number, end: number): boolean {
  for (const each of wanted) if (isAt(each, bytes, start, end)) return true;
  return false;
}

/** The row of a record's property of this name, the last one where there are several; -1 when it has none. */
export function rowOf(batch: RecordBatch, i: number, name: Buffer): number {
  for (let row = (batch.propertyFirst[i + 1] ?? 0) - 1; row >= (batch.propertyFirst[i] ?? 0); row--) {
    const at = row * PROPERTY_ROW;
    if (isAt(name, batch.bytes, batch.properties[at] ?? 0, batch.properties[at + 1] ?? 0)) return row;
  }
  return -1;
}

/** As `matchesGlob`, for a name that lies in UTF-8 at [start, end). */
export function globMatchesAt(glob: Buffer, bytes: Buffer, start: number, end: number): boolean {
  let [g, n, star, resume] = [0, start, -1, 0];
  while (n < end) {
    if (glob[g] === STAR) {
      star = g++;
      resume = n;
    } else if (glob[g] === ANY) {
      g++;
      // One character, which may have several bytes.
      do n++;
      while (n < end && ((bytes[n] ?? 0) & 0xc0) === 0x80);
    } else if (g < glob.length && glob[g] === bytes[n]) {
      g++;
      n++;
    } else if (star >= 0) {
      g = star + 1;
      n = ++resume;
    } else return false;
  }
  while (glob[g] === STAR) g++;
  return g === glob.length;
}
