// Where a run leaves what it made: the binary, and pictures of what failed. Git ignores the folder.

import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../artifacts/', import.meta.url);

/** The path of a file in the folder. */
export function artifact(name) {
  return fileURLToPath(new URL(name, FOLDER));
}
