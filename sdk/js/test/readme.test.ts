import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import * as sdk from "../src/index.js";
import { FakeServer, settle, TestClock } from "../src/testing/index.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const blocks = [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code ?? "");

/** Runs a block of the README against a fake server: its import becomes the package's exports, and its clock and network those of the test. */
async function run(code: string, server: FakeServer, clock: TestClock): Promise<void> {
  const platform = { ...server.platform, ...clock };
  const given = { ...sdk, fetchToken: () => "alice" };
  const body = code.replace(/^import .*;$/m, "").replaceAll("url: \"http://localhost:8080\"", "platform, url: \"http://localhost:8080\"");
  const AsyncFunction = run.constructor as new (...args: string[]) => (...args: unknown[]) => Promise<void>;
  await new AsyncFunction(...Object.keys(given), "platform", body)(...Object.values(given), platform);
  await settle();
}

afterEach(() => vi.restoreAllMocks());

test("the examples are what the compiler takes", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(fileURLToPath(new URL("./readme-", import.meta.url)));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  blocks.forEach((code, i) => {
    const source = code.replace("@parley-im/client", "../../src/index.js");
    writeFileSync(`${folder}/${i}.ts`, `${source}\ndeclare function fetchToken(): Promise<string>;\n`);
  });
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ extends: "../../tsconfig.json", compilerOptions: { noUnusedLocals: false }, include: ["*.ts"] }));
  const tsc = fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url));
  const { status, stdout } = spawnSync(tsc, ["-p", folder], { encoding: "utf8" });
  expect([status, stdout]).toEqual([0, ""]);
});

test("the quickstart says hello, in ten lines", async () => {
  expect(blocks[0]?.trim().split("\n").length).toBeLessThanOrEqual(10);
  const log = vi.spyOn(console, "log").mockReturnValue();
  const clock = new TestClock();
  const server = new FakeServer(clock);
  server.user("bob");
  await run(blocks[0] ?? "", server, clock);
  const [room] = server.rooms.values();
  expect(room?.messages("bob").map(({ user, text }) => [user, text])).toEqual([["alice", "hello"]]);
  expect(log).toHaveBeenLastCalledWith("alice", "hello", "sent");
});

test("the link's example hears and calls", async () => {
  const log = vi.spyOn(console, "log").mockReturnValue();
  const clock = new TestClock();
  const server = new FakeServer(clock);
  await run(blocks[1] ?? "", server, clock);
  const [room] = server.rooms.values();
  expect(room?.name).toBe("Lunch");
  server.say(room!, "bob", "hi");
  await settle();
  expect(log).toHaveBeenLastCalledWith("bob", "hi");
});
