import { z } from 'zod';
import type { GroupsRule } from '../model/mirror-spec.ts';
import { durationField, type Parsed, textField } from './fields.ts';

const MAX_GLOBS = 1_000;

const every = durationField(1_000, 3_600_000, '5s');

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
