import { Parley } from "@parley-im/client";
import { FakeServer, TestClock } from "@parley-im/client/testing";
import { ParleyProvider } from "@parley-im/react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Live } from "../src/live/live.js";

let clock: TestClock;
let server: FakeServer;
let unmount: () => void;

beforeEach(() => {
  clock = new TestClock();
  server = new FakeServer(clock);
});

afterEach(() => unmount());

async function watch(user: string, room: string): Promise<HTMLElement> {
  const client = new Parley({ url: "http://fake", token: () => user, platform: { ...server.platform, now: clock.now, random: clock.random, after: clock.after } });
  client.start();
  const element = document.body.appendChild(document.createElement("div"));
  const root = createRoot(element);
  root.render(<ParleyProvider client={client}><Live room={room} bare /></ParleyProvider>);
  unmount = () => {
    root.unmount();
    client.stop();
    element.remove();
  };
  return element;
}

const find = (element: HTMLElement, selector: string): HTMLElement => element.querySelector<HTMLElement>(selector)!;
const comments = (element: HTMLElement): (string | null)[] => [...element.querySelectorAll(".comment .text")].map((text) => text.textContent);
const goOn = (element: HTMLElement): string => element.querySelector('button[aria-label$="newest comment"]')?.textContent ?? "";
const press = (element: HTMLElement, key: string): boolean => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

/** Waits until something is so, while the server's time goes on. */
const becomes = (look: () => unknown, value: unknown): Promise<void> => vi.waitFor(async () => {
  await clock.advance(100);
  expect(look()).toEqual(value);
}, 4000);

test("comments run, stand still for who reads by keyboard, and go on", async () => {
  const show = server.createRoom({ kind: "live", by: "bob", name: "The final" });
  for (const text of ["one", "two"]) server.say(show, "bob", text);
  const page = await watch("alice", show.id);
  await becomes(() => comments(page), ["one", "two"]);
  server.say(show, "bob", "three");
  await becomes(() => comments(page), ["one", "two", "three"]);
  const log = find(page, "[role=log]");
  press(log, "ArrowUp");
  await becomes(() => goOn(page), "Paused");
  for (const text of ["four", "five"]) server.say(show, "bob", text);
  await becomes(() => goOn(page), "2 new");
  server.write(show, "message.deleted", "bob", { target: 3 });
  await becomes(() => comments(page), ["one", "three"]); // what is deleted is gone for who reads, too
  press(log, "Escape");
  await becomes(() => [comments(page), goOn(page)], [["one", "three", "four", "five"], ""]);
}, 20_000);

test("who may delete is offered to, and where moderators alone write nobody else is", async () => {
  const show = server.createRoom({ kind: "live", by: "bob", name: "The final" });
  server.say(show, "alice", "mine");
  server.say(show, "carol", "hers");
  const offers = (page: HTMLElement, text: string): boolean => {
    const comment = [...page.querySelectorAll<HTMLElement>(".comment")].find((one) => one.textContent?.includes(text))!;
    comment.dispatchEvent(new PointerEvent("pointerover", { bubbles: true, pointerType: "mouse" }));
    return comment.querySelector('[aria-label="Delete"]') !== null;
  };
  const viewer = await watch("alice", show.id);
  await becomes(() => comments(viewer), ["mine", "hers"]);
  await becomes(() => offers(viewer, "mine"), true);
  await becomes(() => offers(viewer, "hers") || offers(viewer, "hers"), false);
  expect(viewer.querySelector("input")).not.toBeNull();
  server.write(show, "room.updated", "bob", { settings: { ...show.object().settings, post: "moderators" } });
  await becomes(() => viewer.querySelector("input"), null);
  unmount();
  const host = await watch("bob", show.id);
  await becomes(() => comments(host), ["mine", "hers"]);
  await becomes(() => offers(host, "hers"), true);
  expect(host.querySelector("input")).not.toBeNull();
}, 20_000);
