import { Parley } from "@parley-im/client";
import { FakeServer, TestClock } from "@parley-im/client/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Connections, type TokenSource } from "../src/widget/connections.js";
import { elementOf } from "../src/widget/element.js";
import { themable, themed } from "../src/widget/styles.js";
import { trouble } from "../src/widget/view.js";

let clock: TestClock;
let server: FakeServer;
let connections: Connections;
let clients: Parley[];
let n = 0;

beforeEach(() => {
  clock = new TestClock();
  server = new FakeServer(clock);
  clients = [];
  connections = new Connections((_, token: TokenSource) => {
    const client = new Parley({ url: "http://fake", token, platform: { ...server.platform, now: clock.now, random: clock.random, after: clock.after } });
    clients.push(client);
    return client;
  });
});

afterEach(() => document.body.replaceChildren());

/** A page's element of a fresh name, since a name is given to a class once and for all. */
function made(kind: "chat" | "live", attributes: Record<string, string>): HTMLElement & { token?: TokenSource } {
  const name = `parley-test-${n++}`;
  customElements.define(name, elementOf(kind, { connections, sheet: new CSSStyleSheet(), home: "http://fake" }));
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

const says = (element: HTMLElement): string => element.shadowRoot?.textContent ?? "";

/** Waits until an element shows something, while the server's time goes on. */
const shows = (element: HTMLElement, text: string): Promise<void> => vi.waitFor(async () => {
  await clock.advance(100);
  expect(says(element)).toContain(text);
});

test("an element says what it lacks", async () => {
  const element = made("chat", {});
  document.body.append(element);
  await shows(element, "“room”");
  element.setAttribute("room", "r_1");
  await shows(element, "“token”");
  element.setAttribute("server", "http://[");
  await shows(element, "“server”");
  expect(() => (element.token = "a.b.c" as never)).toThrow(TypeError);
  expect(clients).toEqual([]);
});

test("elements of a page share a connection, which ends with the last of them", async () => {
  const show = server.createRoom({ kind: "live", by: "bob", name: "The final" });
  const lunch = server.createRoom({ members: ["alice", "bob"], name: "Lunch" });
  const live = made("live", { room: show.id });
  live.token = () => "alice"; // before it is in the page
  const chat = made("chat", { room: lunch.id });
  document.body.append(live, chat);
  chat.token = () => "alice";
  await shows(live, "The final");
  await shows(chat, "Lunch");
  expect(clients).toHaveLength(1);
  const [log] = chat.shadowRoot!.querySelectorAll("[role=log]");
  document.body.prepend(chat); // moved: nothing ends
  await clock.advance(100);
  expect(chat.shadowRoot!.querySelector("[role=log]")).toBe(log);
  live.remove();
  await clock.advance(100);
  expect([clients[0]!.connection.get().status, says(live)]).toEqual(["live", ""]);
  chat.remove();
  await clock.advance(100);
  expect([clients[0]!.connection.get().status, says(chat)]).toEqual(["idle", ""]);
  document.body.append(chat);
  await shows(chat, "Lunch");
  expect(clients).toHaveLength(2);
});

test("another source of tokens begins the session anew, where it is the one that is used", async () => {
  const [first, second] = [{}, {}];
  const asked: string[] = [];
  const source = (user: string): TokenSource => () => (asked.push(user), user);
  const [alice, bob, carol] = [source("alice"), source("bob"), source("carol")];
  const client = connections.join("http://fake", first, alice);
  expect(connections.join("http://fake", second, bob)).toBe(client);
  await clock.advance(100);
  expect(asked).toEqual(["alice"]);
  connections.join("http://fake", first, alice);
  connections.join("http://fake", second, carol);
  await clock.advance(100);
  expect(asked).toEqual(["alice"]);
  connections.join("http://fake", first, carol);
  await clock.advance(100);
  expect(asked).toEqual(["alice", "carol"]);
  expect(client.me).toBe("carol");
});

test("what a page may set goes over what is set here", () => {
  const css = themed(":host{--accent:light-dark(#000,#fff);--accent-tint:red;--line:#ccc}");
  expect(css).toBe(":host{--accent:var(--parley-accent,light-dark(#000,#fff));--accent-tint:red;--line:var(--parley-line,#ccc)}");
  expect(new Set(themable).size).toBe(themable.length);
});

test("trouble is told in words", () => {
  expect(trouble({ status: "live" })).toBeUndefined();
  expect(trouble({ status: "connecting" })).toBeUndefined();
  expect(trouble({ status: "waiting", reason: { code: "token", message: "the back end is away" } })).toContain("the back end is away");
  expect(trouble({ status: "waiting", reason: { code: "unreachable", message: "" } })).toContain("does not allow this page");
  expect(trouble({ status: "ended", reason: { code: 4403, message: "" } })).toContain("signed out");
});
