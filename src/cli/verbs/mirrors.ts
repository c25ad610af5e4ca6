import { Argument, type Command } from 'commander';
import type { MirrorAnswer } from '../answers.ts';
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
import { showMirrors } from '../show.ts';
import { addMirrorsAdd } from './mirrors-add.ts';
import { addMirrorChange } from './mirrors-change.ts';
import { addMirrorsReplay } from './mirrors-replay.ts';

/** `isthmus mirrors`, with the verbs that change one below it. */
export function addMirrors(program: Command, context: CliContext): void {
  const { io } = context;
  const command = program
    .command('mirrors')
    .summary('show mirrors; add, pause, resume, restart or delete one')
    .description('Shows all mirrors, or one with its whole definition.')
    .addArgument(new Argument('[link/mirror]', 'show this one with its definition').argParser(mirrorName))
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus mirrors\n  isthmus mirrors -c config/local.yaml\n  isthmus mirrors east-west/orders\n  isthmus mirrors add east-west/refunds --topics "refunds-*"\n  isthmus mirrors pause east-west/orders',
    );
  // The same options stand on the verbs below; each keeps its own.
  command.enablePositionalOptions();
  apiOptions(command).action(async (only: MirrorName | undefined, options: ApiOptions) => {
    const api = connect(io, options);
    if (only !== undefined) {
      const mirror = await api.get(only.path);
      io.out(
        options.json === true
          ? toJson(mirror)
          : `${showMirrors([mirror as MirrorAnswer])}\n\n${toJson(Reflect.get(mirror as object, 'spec'))}`,
      );
      return;
    }
    const answer = await api.get('/v1/mirrors');
    io.out(options.json === true ? toJson(answer) : showMirrors(rowsOf<MirrorAnswer>(answer, 'mirrors')));
  });
  addMirrorsAdd(command, context);
  addMirrorChange(command, context, 'pause', 'pause a mirror', 'Stops reading and writing; the place in every lane is kept.');
  addMirrorChange(command, context, 'resume', 'let a paused mirror go on', 'Goes on where the mirror was paused.');
  addMirrorChange(
    command,
    context,
    'restart',
    'close and reopen all lanes of a mirror',
    'Also lanes that stopped: use it when what stopped them is mended.',
  );
  addMirrorsReplay(command, context);
  addMirrorChange(
    command,
    context,
    'delete',
    'delete a mirror that was added at runtime',
    'Its state is forgotten. The topics that it made on the target stay.',
  );
}
