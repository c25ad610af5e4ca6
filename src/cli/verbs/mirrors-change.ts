import { Argument, type Command } from 'commander';
import { type ApiOptions, apiOptions, type CliContext, connect, type MirrorName, mirrorName, toJson } from '../options.ts';

type Verb = 'pause' | 'resume' | 'restart' | 'delete';

const DONE: Readonly<Record<Verb, string>> = {
  pause: 'is paused',
  resume: 'goes on',
  restart: 'starts again',
  delete: 'is deleted',
};

/** The verbs that take nothing but a mirror. */
export function addMirrorChange(parent: Command, { io }: CliContext, verb: Verb, summary: string, description: string): void {
  const command = parent
    .command(verb)
    .summary(summary)
    .description(description)
    .addArgument(new Argument('<link/mirror>', 'for example east-west/orders').argParser(mirrorName))
    .addHelpText('after', `\nExample:\n  isthmus mirrors ${verb} east-west/orders -c config/local.yaml`);
  apiOptions(command).action(async ({ link, name, path }: MirrorName, options: ApiOptions) => {
    const api = connect(io, options);
    const answer = verb === 'delete' ? await api.send('DELETE', path) : await api.send('POST', `${path}/${verb}`);
    io.out(options.json === true ? toJson(answer ?? { link, name, deleted: true }) : `${link}/${name} ${DONE[verb]}`);
  });
}
