/** `node scripts/with-setup.js SCRIPT [args...]`: installs what is missing, then runs the script on the project's Node. */
import { resolve } from 'node:path';
import { ensureInstalled } from './setup/install.js';
import { runScript } from './setup/run.js';

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  console.error('usage: node scripts/with-setup.js SCRIPT [args...]');
  process.exitCode = 2;
} else {
  let installed = false;
  try {
    await ensureInstalled();
    installed = true;
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
  // Outside of the try: what the script itself throws is not ours to shorten.
  if (installed) await runScript(resolve(script), args);
}
