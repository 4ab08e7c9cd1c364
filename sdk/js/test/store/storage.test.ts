import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { browserStorage, memoryStorage, type Storage } from "../../src/index.js";

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
});

afterEach(() => vi.unstubAllGlobals());

const broken = (): Storage => {
  vi.stubGlobal("indexedDB", undefined);
  return browserStorage("alice");
};

describe.each([
  ["memory", memoryStorage],
  ["IndexedDB", () => browserStorage("alice")],
  ["no IndexedDB", broken],
])("%s", (_, make) => {
  test("lists what was put and not deleted, by prefix and in order", async () => {
    const storage = make();
    void storage.put("outbox/2", { n: 2 });
    void storage.put("outbox/1", { n: 1 });
    void storage.put("outbox/3", { n: 3 });
    void storage.put("room/x", [1, { a: null }]);
    void storage.put("outbox/1", { n: "again" });
    await storage.delete("outbox/3");
    expect(await storage.list("outbox/")).toEqual([["outbox/1", { n: "again" }], ["outbox/2", { n: 2 }]]);
    expect(await storage.list("")).toHaveLength(3);
    expect(await storage.list("nothing")).toEqual([]);
  });

  test("keeps copies", async () => {
    const storage = make();
    const value = { list: [1] };
    await storage.put("key", value);
    value.list.push(2);
    expect((await storage.list("key"))[0]?.[1]).toEqual({ list: [1] });
  });

  test("is the caller's at once where nobody else can have it", async () => {
    await make().claim();
  });
});

test("IndexedDB outlives the page, under the user's name", async () => {
  await browserStorage("alice").put("user", "alice");
  expect(await browserStorage("alice").list("user")).toEqual([["user", "alice"]]);
  expect(await browserStorage("bob").list("")).toEqual([]);
});

test("what earlier pages have left is one tab's at a time", async () => {
  const waiting: (() => void)[] = [];
  const request = (_name: string, hold: () => Promise<unknown>): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.push(() => void hold().then(resolve));
      if (waiting.length === 1) waiting[0]?.();
    });
  vi.stubGlobal("navigator", { locks: { request } });
  const claims: string[] = [];
  const first = browserStorage("alice").claim().then(() => claims.push("first"));
  const second = browserStorage("alice").claim().then(() => claims.push("second"));
  await first;
  expect(claims).toEqual(["first"]);
  waiting[1]?.(); // the first tab is closed
  await second;
  expect(claims).toEqual(["first", "second"]);
});
