import { Argument, type Command } from 'commander';
import type { LaneAnswer, MirrorAnswer } from '../answers.ts';
import {
  type ApiOptions,
  apiOptions,
  type CliContext,
  connect,
  type MirrorName,
  mirrorName,
  rowsOf,
  toJson,
} from '../options.ts';
import { showLanes } from '../show.ts';

export function addLanes(program: Command, { io }: CliContext): void {
  const command = program
    .command('lanes')
    .summary('show lanes: state, positions, lag, last error')
    .description('Shows the lanes of all mirrors, or of one: a lane is a queue or partition of a source topic.')
    .addArgument(new Argument('[link/mirror]', 'only the lanes of this mirror').argParser(mirrorName))
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus lanes\n  isthmus lanes east-west/orders -c config/local.yaml\n  isthmus lanes east-west/orders --json | jq ".lanes[] | select(.state != \\"running\\")"',
    );
  apiOptions(command).action(async (only: MirrorName | undefined, options: ApiOptions) => {
    const api = connect(io, options);
    const mirrors =
      only === undefined
        ? rowsOf<MirrorAnswer>(await api.get('/v1/mirrors'), 'mirrors').map(({ link, name }) => mirrorName(`${link}/${name}`))
        : [only];
    const lanes: (LaneAnswer & { mirror: string })[] = [];
    for (const { link, name, path } of mirrors) {
      const rows = rowsOf<LaneAnswer>(await api.get(`${path}/lanes`), 'lanes');
      lanes.push(...rows.map((lane) => ({ mirror: `${link}/${name}`, ...lane })));
    }
    io.out(options.json === true ? toJson({ lanes }) : showLanes(lanes));
  });
}
