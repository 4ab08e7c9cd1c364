// The documents of the SDK are true: the ```ts run blocks of each, one after the other, are a program that is type-checked and run against a fresh server,
// and prints what the ```text output blocks say.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { WebSocket } from "undici";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { RealServer } from "./server.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const documents = fileURLToPath(new URL("../../../../docs/sdk", import.meta.url));
const names = readdirSync(documents).filter((name) => name.endsWith(".md"));
let folder: string;

/** The blocks of a document with one fence, joined. */
function blocks(name: string, fence: string): string {
  const text = readFileSync(join(documents, name), "utf8");
  return [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)].filter(([, kind]) => kind === fence).map(([, , block]) => block).join("");
}

beforeAll(() => {
  folder = mkdtempSync(join(here, "docs-"));
  for (const name of names) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "program.ts"), blocks(name, "ts run"));
    const backend = readFileSync(join(here, "backend.ts"), "utf8").replace("../../src/", "../../../../src/").replace("./server.js", "../../server.js");
    writeFileSync(join(folder, name, "back-end.ts"), backend);
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every block says how it is run", () => {
  for (const name of names) {
    const fences = [...readFileSync(join(documents, name), "utf8").matchAll(/^```(.+)$/gm)].map(([, kind]) => kind);
    expect(fences.filter((kind) => kind !== "ts run" && kind !== "text output"), name).toEqual([]);
  }
});

test("the programs are of the right types", () => {
  const settings = { extends: "../../../tsconfig.json", compilerOptions: { paths: { "@parley-im/client": ["../../../src/index.ts"] } }, include: [".", "../build.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
  const tsc = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
  try {
    execFileSync(tsc, ["-p", folder], { encoding: "utf8" });
  } catch (error) {
    expect.fail((error as { stdout: string }).stdout);
  }
});

test.each(names)("%s", async (name) => {
  const server = await RealServer.start();
  vi.stubGlobal("WebSocket", WebSocket);
  vi.stubGlobal("server", server);
  const printed: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...values) => void printed.push(values.map((v) => (typeof v === "string" ? v : inspect(v))).join(" ")));
  try {
    const program = join(folder, name, "program.ts");
    writeFileSync(program, readFileSync(program, "utf8").replaceAll("http://127.0.0.1:8080", server.url));
    await import(/* @vite-ignore */ program);
  } finally {
    log.mockRestore();
    vi.unstubAllGlobals();
  }
  expect(printed.join("\n").trim()).toBe(blocks(name, "text output").trim());
});
