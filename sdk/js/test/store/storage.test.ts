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

  test("gives a name at once where nobody else can have it", async () => {
    expect(await make().claim("page")).toBe(true);
  });
});

test("IndexedDB outlives the page, under the user's name", async () => {
  await browserStorage("alice").put("user", "alice");
  expect(await browserStorage("alice").list("user")).toEqual([["user", "alice"]]);
  expect(await browserStorage("bob").list("")).toEqual([]);
});

test("a name is one tab's at a time, and one that is not let go of in time is not given", async () => {
  const waiting: { name: string; hold: () => Promise<never>; refuse: (error: Error) => void }[] = [];
  const request = (name: string, _options: { signal: AbortSignal }, hold: () => Promise<never>): Promise<never> =>
    new Promise((_, refuse) => waiting.push({ name, hold, refuse }));
  vi.stubGlobal("navigator", { locks: { request } });
  const [one, two] = [browserStorage("alice"), browserStorage("alice")];
  const claims = [one.claim("page"), two.claim("page"), two.claim("page"), two.claim("other")];
  expect(new Set(waiting.map(({ name }) => name)).size).toBe(2);
  void waiting[0]?.hold();
  expect(await claims[0]).toBe(true);
  waiting[1]?.refuse(new DOMException("", "TimeoutError"));
  expect(await claims[1]).toBe(false);
  void waiting[2]?.hold(); // the first tab is closed
  expect(await claims[2]).toBe(true);
  waiting[3]?.refuse(new DOMException("", "SecurityError")); // there are no locks here: better twice than never
  expect(await claims[3]).toBe(true);
});
