import { z } from 'zod';
import type { GroupsRule } from '../model/mirror-spec.ts';
import { formatDuration, type Parsed, parseDuration, textField } from './fields.ts';

const MIN_EVERY = 1_000;
const MAX_EVERY = 3_600_000;
const MAX_GLOBS = 1_000;
const MUST_BE_DURATION = `must be a duration from ${formatDuration(MIN_EVERY)} to ${formatDuration(MAX_EVERY)}`;

const every = textField(MUST_BE_DURATION, (text): Parsed<number> => {
  const millis = parseDuration(text);
  return millis === undefined || millis < MIN_EVERY || millis > MAX_EVERY
    ? { wrong: MUST_BE_DURATION, hint: 'for example 5s' }
    : { value: millis };
});

const rename = textField('must be a text with {group} in it', (text): Parsed<string> => {
  const unknown = [...text.matchAll(/\{(\w*)\}/g)].find(([, key]) => key !== 'group')?.[0];
  if (unknown !== undefined)
    return { wrong: 'must have no other name in braces than {group}', hint: `${unknown} stands for nothing here` };
  // Two groups that become one would move each other's place.
  return text.includes('{group}') ? { value: text } : { wrong: 'must have {group} in it', hint: 'for example "{group}-east"' };
});

const globs = z.array(z.string().min(1)).max(MAX_GLOBS);

type GroupsFields = Omit<GroupsRule, 'everyMillis'> & { readonly every: number };

/** `links.<name>.groups`. */
export const groupsRule: z.ZodType<GroupsFields> = z
  .strictObject({
    include: globs
      .min(1)
      .prefault(['*'])
      .meta({ description: 'Globs over the names of groups and subscriptions.', examples: [['*']] }),
    exclude: globs.prefault([]).meta({ description: 'Groups that do not follow. Those of Isthmus itself never do.' }),
    rename: rename
      .prefault('{group}')
      .meta({ description: 'The name on the target; {group} stands for that on the source.', examples: ['{group}'] }),
    every: every.prefault('5s').meta({ description: 'How often progress is read, translated and applied.', examples: ['5s'] }),
    apply: z.enum(['idle', 'never']).prefault('idle').meta({
      description:
        'idle: a group is moved on the target while none of its consumers is connected there, and never backwards. never: its place is only shown.',
    }),
  })
  .meta({ description: 'Consumer groups whose progress follows to the target. Without it none does.' });

export function groupsConfig(rule: GroupsFields | undefined): GroupsRule | undefined {
  if (rule === undefined) return undefined;
  const { every: everyMillis, ...rest } = rule;
  return { ...rest, everyMillis };
}
