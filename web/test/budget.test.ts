// @vitest-environment node
// What a first visit costs: the script of the page at /, as it would be built now.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const most = 160 * 1024;
/** The choice of emoji comes when somebody opens it. */
const later = "emoji.js";
const mostLater = 16 * 1024;

test(`the first page brings at most ${most} bytes of script, compressed`, () => {
  const folder = mkdtempSync(join(tmpdir(), "parley-web-"));
  try {
    const vite = fileURLToPath(new URL("../node_modules/vite/bin/vite.js", import.meta.url));
    const root = fileURLToPath(new URL("..", import.meta.url));
    execFileSync(process.execPath, [vite, "build", "--outDir", folder, "--logLevel", "error"], { cwd: root, env: { ...process.env, NODE_ENV: "production" } });
    const weight = (file: string): number => gzipSync(readFileSync(join(folder, file))).length;
    const scripts = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js") && file !== later);
    const size = scripts.reduce((sum, file) => sum + weight(file), 0);
    console.info(`the first page brings ${size} bytes, the choice of emoji ${weight(later)}`);
    expect(scripts.length).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(most);
    expect(weight(later)).toBeLessThanOrEqual(mostLater);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
