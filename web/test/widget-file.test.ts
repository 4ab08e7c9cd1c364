// @vitest-environment node
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build, type Rolldown } from "vite";
import { expect, test, vi } from "vitest";

const most = 60 * 1024;

test(`/widget.js is one file of at most ${most} bytes, compressed, that needs nothing of a page's policy`, async () => {
  vi.stubEnv("NODE_ENV", "production"); // as it is built
  const root = fileURLToPath(new URL("..", import.meta.url));
  const built = (await build({ root, configFile: `${root}widget.config.ts`, logLevel: "error", build: { write: false } })) as Rolldown.RolldownOutput;
  expect(built.output.map((file) => file.fileName)).toEqual(["widget.js"]);
  const { code } = built.output[0];
  const size = gzipSync(code, { level: 9 }).length;
  console.info(`/widget.js is ${size} bytes`);
  expect(size).toBeLessThanOrEqual(most);
  for (const forbidden of [/\beval\(/, /new Function\(/, /document\.write/, /createElement\(.style.\)/, /insertAdjacentHTML/]) expect(code).not.toMatch(forbidden);
  expect(code.match(/\bimport\(.*?\)/g)).toEqual([expect.stringContaining("/emoji.js")]); // of the server, as it is itself
}, 60_000);
