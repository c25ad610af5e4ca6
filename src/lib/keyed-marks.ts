import { createHmac, timingSafeEqual } from 'node:crypto';
import { type MarkCodec, type Provenance, parseProvenance, plainMarks, splitTag, TAG_BEGIN } from '../model/provenance.ts';

/** 64 bits, which make 11 characters. */
const TAG_BYTES = 8;

export interface KeyedMarksOptions {
  /** The first one seals, all of them are accepted: so a secret can be changed while records sealed with the former one are on their way. */
  readonly secrets: readonly string[];
  /** Takes marks without a tag for ours, too: while processes begin to seal, one after the other. */
  readonly acceptUnsealed: boolean;
}

function tagOf(secret: string, mark: string): string {
  return createHmac('sha256', secret).update(mark).digest().toString('base64url', 0, TAG_BYTES);
}

/**
 * Marks with a keyed tag: only who has a secret can write one, and a mark that was changed in any character is none. It does not bind a mark to its record: a
 * whole mark that was copied to another record is taken for genuine.
 */
export function keyedMarks({ secrets, acceptUnsealed }: KeyedMarksOptions): MarkCodec {
  const [own] = secrets;
  if (own === undefined) return plainMarks;
  return {
    seal: (mark) => `${mark}${TAG_BEGIN}${tagOf(own, mark)}`,
    read(text): Provenance | undefined {
      const { mark, tag } = splitTag(text);
      if (tag === undefined) return acceptUnsealed ? parseProvenance(mark) : undefined;
      const told = Buffer.from(tag, 'latin1');
      // As text: of the tag's last character two bits stand for nothing, so that four texts would be the same bytes.
      const genuine = secrets.some((secret) => timingSafeEqual(Buffer.from(tagOf(secret, mark), 'latin1'), told));
      return genuine ? parseProvenance(mark) : undefined;
    },
  };
}
