import { z } from 'zod';
import type { FailoverHook, FailoverRule } from '../model/mirror-spec.ts';
import { durationField, type Parsed, textField } from './fields.ts';

const MAX_HOOKS = 20;

const timeout = durationField(1_000, 3_600_000, '30s');

const webhook = textField('must be an http or https address', (text): Parsed<string> => {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol)
    ? { value: text }
    : { wrong: 'must be an http or https address', hint: 'for example https://ops.example/isthmus' };
});

const hook = z
  .strictObject({
    command: z.array(z.string().min(1)).min(1).optional().meta({
      description:
        'A program and its arguments, run without a shell; ISTHMUS_LINK, _KIND, _STEP and _FAILOVER are in its environment.',
    }),
    webhook: webhook.optional().meta({
      description: 'An address that is posted to, with link, kind, step and failover as JSON. Write ${NAME} for secrets.',
    }),
    timeout: timeout.prefault('30s').meta({ description: 'How long it may take.', examples: ['30s'] }),
  })
  .superRefine((value, context) => {
    if ((value.command === undefined) === (value.webhook === undefined))
      context.addIssue({ code: 'custom', message: 'must have either command or webhook', params: { plain: true } });
  });

interface HookFields {
  readonly command?: readonly string[] | undefined;
  readonly webhook?: string | undefined;
  readonly timeout: number;
}

interface FailoverFields {
  readonly fence: readonly HookFields[];
  readonly release: readonly HookFields[];
}

/** `links.<name>.failover`. */
export const failoverRule: z.ZodType<FailoverFields> = z
  .strictObject({
    fence: z.array(hook).max(MAX_HOOKS).prefault([]).meta({ description: 'Run first, to stop the producers of the source.' }),
    release: z.array(hook).max(MAX_HOOKS).prefault([]).meta({ description: 'Run last, to let the target be used.' }),
  })
  .meta({
    description: 'What a failover of the link calls. A hook may run again after a crash, and has to mind no second time.',
  });

function hookConfig({ command, webhook: url, timeout: timeoutMillis }: HookFields): FailoverHook {
  return command === undefined ? { webhook: url ?? '', timeoutMillis } : { command, timeoutMillis };
}

export function failoverConfig(rule: FailoverFields | undefined): FailoverRule | undefined {
  return rule === undefined ? undefined : { fence: rule.fence.map(hookConfig), release: rule.release.map(hookConfig) };
}
