import type { InboxEntry, Member, Role } from "@parley-im/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ending } from "../src/app/banner.js";
import { around, highlighted } from "../src/app/excerpts.js";
import { Host } from "../src/app/host.js";
import { deviceOf, keepIdentity, keptIdentity, newDevice, NoNamesError, tokenByName, userIdOf, userOf } from "../src/app/identity.js";
import { actsOn } from "../src/app/member-acts.js";
import { meant, usersOf } from "../src/app/people-field.js";
import { hashOf, parseRoute } from "../src/app/route.js";
import { settingsOf } from "../src/app/settings.js";
import { chooseTheme, chosenTheme } from "../src/app/theme.js";
import { matches, wordAt } from "../src/conversation/completion.js";

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("places have addresses, and other addresses are the inbox", () => {
  for (const route of [
    { page: "inbox" }, { page: "room", room: "r_1" }, { page: "room", room: "r_1", message: 7 }, { page: "room", room: "r_1", thread: 7 },
  ] as const) {
    expect(parseRoute(hashOf(route))).toEqual(route);
  }
  for (const hash of ["", "#", "#/", "#/x/y", "#/r/", "#/r/<b>", "#javascript:alert(1)"]) expect(parseRoute(hash)).toEqual({ page: "inbox" });
  expect(parseRoute("#/r/r_1/m/x")).toEqual({ page: "room", room: "r_1" });
});

test("a name becomes a user id that the protocol allows", () => {
  expect(["Alice", " José  María ", "a/b", "李", "X".repeat(300)].map((name) => userIdOf(name).slice(0, 20))).toEqual(["alice", "jose.maria", "ab", "", "x".repeat(20)]);
  expect(userIdOf("X".repeat(300)).length).toBe(128);
  expect([meant("@Bob"), meant("Bob Miller"), meant("  ")]).toEqual(["bob", "bob.miller", undefined]);
  expect(usersOf({ users: ["bob"], text: "Carol, bob; dave" })).toEqual(["bob", "carol", "dave"]);
});

test("an identity lives in its tab, and a host's not even there", () => {
  expect(keptIdentity(sessionStorage)).toBeUndefined();
  keepIdentity(sessionStorage, { by: "name", user: "alice", name: "Alice" });
  expect(keptIdentity(sessionStorage)).toEqual({ by: "name", user: "alice", name: "Alice" });
  keepIdentity(sessionStorage, undefined);
  expect(keptIdentity(sessionStorage)).toBeUndefined();
  const device = deviceOf(sessionStorage);
  expect(deviceOf(sessionStorage)).toBe(device);
  expect(newDevice(sessionStorage)).not.toBe(device);
  expect(localStorage.length).toBe(0);
});

test("the user of a token is read from it", () => {
  const token = (claims: object): string => `x.${btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.y`;
  expect(userOf(token({ sub: "alice" }))).toBe("alice");
  for (const bad of ["", "abc", "a.b.c", token({}), token({ sub: 7 })]) expect(() => userOf(bad)).toThrow("no token");
});

test("a token by name: given, refused, or not to be had", async () => {
  const answer = (status: number, body: object): void => void vi.stubGlobal("fetch", async () => new Response(JSON.stringify(body), { status }));
  answer(200, { token: "t" });
  await expect(tokenByName("alice", "Alice")).resolves.toBe("t");
  answer(400, { error: { message: "No such name." } });
  await expect(tokenByName("alice", "")).rejects.toThrow("No such name.");
  answer(404, {});
  await expect(tokenByName("alice", "")).rejects.toBeInstanceOf(NoNamesError);
});

/** A window in a frame of another, as far as a host is concerned. */
function framed() {
  const listeners = new Set<(event: MessageEvent) => void>();
  const parent = { postMessage: vi.fn() };
  const window = {
    parent, opener: null,
    addEventListener: (_: string, listener: (event: MessageEvent) => void) => listeners.add(listener),
    removeEventListener: (_: string, listener: (event: MessageEvent) => void) => listeners.delete(listener),
  } as unknown as Window;
  const say = (origin: string, data: unknown, source: unknown = parent): void => {
    for (const listener of [...listeners]) listener({ origin, data, source } as MessageEvent);
  };
  return { window, parent, listeners, say };
}

test("a host hands over a token only from a configured origin, from the window that was asked, in the right words", async () => {
  const { window, parent, listeners, say } = framed();
  const host = Host.of(window, ["https://app.example.com"])!;
  let got: string | undefined;
  const asked = host.token().then((token) => (got = token));
  expect(parent.postMessage).toHaveBeenCalledExactlyOnceWith({ type: "parley.ready" }, "*");
  say("https://evil.example.com", { type: "parley.token", token: "evil" });
  say("https://app.example.com", { type: "parley.token", token: "other window" }, {});
  say("https://app.example.com", { type: "token", token: "x" });
  say("https://app.example.com", { type: "parley.token", token: 7 });
  say("https://app.example.com", null);
  say("https://app.example.com", "parley.token");
  await Promise.resolve();
  expect(got).toBeUndefined();
  say("https://app.example.com", { type: "parley.token", token: "good" });
  await asked;
  expect(got).toBe("good");
  expect(listeners.size).toBe(0);
});

test("without configured origins, or without another window, there is no host; one that is silent is waited for in vain", async () => {
  const { window } = framed();
  expect(Host.of(window, [])).toBeUndefined();
  const alone = { opener: null } as unknown as Window;
  Object.assign(alone, { parent: alone });
  expect(Host.of(alone, ["https://app.example.com"])).toBeUndefined();
  vi.useFakeTimers();
  const asked = expect(Host.of(window, ["https://app.example.com"])!.token()).rejects.toThrow("has not handed over a token");
  await vi.advanceTimersByTimeAsync(15_000);
  await asked;
});

test("the document tells what the server has set", () => {
  const page = document.implementation.createHTMLDocument();
  expect(settingsOf(page)).toEqual({ origins: [], dev: true });
  page.head.append(Object.assign(page.createElement("meta"), { name: "parley-settings", content: '{"origins":["https://a.example"],"dev":false}' }));
  expect(settingsOf(page)).toEqual({ origins: ["https://a.example"], dev: false });
});

test("endings say what helps", () => {
  expect(ending({ code: 4409, message: "" }).then).toBe("here");
  expect(ending({ code: 4403, message: "" }).then).toBe("sign in");
  expect(ending({ code: 4400, message: "not a frame" })).toMatchObject({ then: "reload", text: expect.stringContaining("not a frame") as string });
});

test("a theme is chosen and kept", () => {
  expect(chosenTheme()).toBe("system");
  chooseTheme("dark");
  expect([chosenTheme(), document.documentElement.dataset["theme"]]).toEqual(["dark", "dark"]);
  chooseTheme("system");
  expect([chosenTheme(), document.documentElement.dataset["theme"]]).toEqual(["system", undefined]);
});

test("words that were found stand out, whatever their case and accents", () => {
  const hits = (text: string, query: string): string[] => highlighted(text, query).filter((piece) => piece.hit).map((piece) => piece.text);
  expect(hits("The Café, and cafes", "cafe")).toEqual(["Café", "cafe"]);
  expect(hits("a (b) c", '"b"')).toEqual(["b"]);
  expect(hits("a.b", "***")).toEqual([]);
  expect(highlighted("one two", "two").map((piece) => piece.text).join("")).toBe("one two");
  expect(around(`${"x ".repeat(200)}needle ${"y ".repeat(200)}`, "needle")).toMatch(/^….*needle.*…$/);
  expect(around("short needle", "needle")).toBe("short needle");
});

test("an @ at the caret offers those whose id or name begins so", () => {
  expect(wordAt("hi @bo", 6)).toEqual({ word: "bo", from: 3 });
  expect(wordAt("@", 1)).toEqual({ word: "", from: 0 });
  expect(wordAt("mail@bo", 7)).toBeUndefined();
  expect(wordAt("@bo hi", 6)).toBeUndefined();
  const members = ["bob", "carol.danvers", "dave"].map((user) => ({ user }) as Member);
  const names: Record<string, string> = { dave: "Bo Svenson" };
  expect(matches("bo", members, (user) => names[user])).toEqual(["bob", "dave"]);
  expect(matches("dan", members, (user) => names[user] ?? user)).toEqual(["carol.danvers"]);
});

test("only what the server would not refuse is offered about a member", () => {
  const offered = (mine: Role, theirs: Role, kind = "group"): string[] => {
    const entry = { room: { id: "r", kind }, me: { role: mine } } as InboxEntry;
    return actsOn(entry, { user: "bob", role: theirs, joined_at: "" }, "alice", 0).map((act) => act.label);
  };
  expect(offered("member", "member")).toEqual(["Message"]);
  expect(offered("moderator", "member")).toEqual(["Message", "Mute for an hour", "Remove", "Ban"]);
  expect(offered("moderator", "moderator")).toEqual(["Message"]);
  expect(offered("admin", "member")).toEqual(["Message", "Make moderator", "Mute for an hour", "Remove", "Ban"]);
  expect(offered("owner", "owner")).toEqual(["Message", "Make member", "Make moderator", "Make admin", "Mute for an hour", "Remove", "Ban"]);
  expect(offered("owner", "owner", "direct")).toEqual([]);
  expect(actsOn({ room: { kind: "group" }, me: { role: "owner" } } as InboxEntry, { user: "alice", role: "owner", joined_at: "" }, "alice", 0)).toEqual([]);
});
