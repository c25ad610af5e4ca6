/** `npm run setup`: installs the packages of this checkout, the project's own Node among them, unless they are there. */
import { ensureInstalled } from './setup/install.js';

try {
  await ensureInstalled();
  console.log('Ready. Try: npm run demo');
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
