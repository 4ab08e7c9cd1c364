import { memoryStorage, Parley } from "@parley-im/client";
import { FakeServer, TestClock } from "@parley-im/client/testing";
import { act, StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, test } from "vitest";

import { ParleyProvider, useAudience, useConnection, useParley, usePresence, useRoom, useRooms, useTimeline, useTyping, useUnread, useUser } from "../src/index.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let clock: TestClock;
let server: FakeServer;
let unmount: () => void;

beforeEach(() => {
  clock = new TestClock();
  server = new FakeServer(clock);
  unmount = () => {};
});

afterEach(() => {
  unmount();
  document.body.replaceChildren();
});

async function pass(ms = 100): Promise<void> {
  await act(() => clock.advance(ms));
}

async function connected(user: string): Promise<Parley> {
  const platform = { ...server.platform, now: clock.now, random: clock.random, after: clock.after };
  const client = new Parley({ url: "http://fake", token: () => user, storage: memoryStorage(), platform });
  client.start();
  await pass();
  return client;
}

/** Shows something as an application would, twice over as StrictMode does. */
async function show(client: Parley, node: ReactNode): Promise<HTMLElement> {
  const element = document.body.appendChild(document.createElement("div"));
  const root = createRoot(element);
  await act(async () => root.render(<StrictMode><ParleyProvider client={client}>{node}</ParleyProvider></StrictMode>));
  unmount = () => act(() => root.unmount());
  await pass();
  return element;
}

function Messages({ id }: { id: string }): ReactNode {
  const { items, ready, room } = useTimeline(id);
  return (
    <main onClick={() => void room.send({ text: "from the page" })}>
      {ready ? items.map((item) => item.type !== "gap" && (
        <p key={item.key}>{item.type === "message" ? `${item.message.user}: ${item.message.text} ${item.status ?? ""}` : `${item.outgoing.draft.text} ${item.status}`}</p>
      )) : "loading"}
    </main>
  );
}

const texts = (element: HTMLElement): (string | null)[] => [...element.querySelectorAll("p")].map((p) => p.textContent);

test("a timeline is loaded while it is shown, and follows what is said", async () => {
  const room = server.createRoom({ members: ["alice", "bob"] });
  server.say(room, "bob", "hello");
  const client = await connected("alice");
  const page = await show(client, <Messages id={room.id} />);
  expect(texts(page)).toEqual(["bob: hello "]);
  server.say(room, "bob", "again");
  await pass();
  act(() => page.querySelector("main")?.click());
  expect(texts(page)).toEqual(["bob: hello ", "bob: again ", "from the page pending"]);
  await pass();
  expect(texts(page)).toEqual(["bob: hello ", "bob: again ", "alice: from the page sent"]);
  expect(server.calls.filter((c) => c.method === "message.list")).toHaveLength(1);
});

test("rooms, counts, typing, presence and profiles are what the client knows", async () => {
  const room = server.createRoom({ members: ["alice", "bob"], name: "Lunch" });
  server.user("bob").name = "Bob";
  const client = await connected("alice");
  const bob = await connected("bob");
  function Everything(): ReactNode {
    const lines = [
      useConnection().status, useRooms().rooms.map((entry) => entry.room.name).join(), useRoom(room.id)?.me.unread, useUnread(), useUnread("mentions"),
      useTyping(room.id).join(), usePresence("bob")?.status, useUser("bob")?.name, useAudience(room.id) ?? "unwatched", useParley().me,
    ];
    return lines.map((line, i) => <p key={i}>{line}</p>);
  }
  const page = await show(client, <Everything />);
  server.say(room, "bob", "hello");
  await pass(3000);
  expect(texts(page)).toEqual(["live", "Lunch", "1", "1", "0", "", "online", "Bob", "unwatched", "alice"]);
  bob.room(room.id).type();
  await pass();
  expect(texts(page)[5]).toBe("bob");
});

test("a component is rendered anew only for what it looks at", async () => {
  const room = server.createRoom({ members: ["alice", "bob"] });
  const client = await connected("alice");
  let renders = 0;
  function Badge(): ReactNode {
    renders++;
    return <p>{useUnread("mentions")}</p>;
  }
  await show(client, <Badge />);
  const before = renders;
  for (let i = 0; i < 5; i++) server.say(room, "bob", "hello");
  await pass(2000);
  expect(client.inbox.get().unread).toBe(5);
  expect(renders).toBe(before);
});

test("all components show the same moment", async () => {
  const room = server.createRoom({ members: ["alice", "bob"] });
  const client = await connected("alice");
  const torn: string[] = [];
  function Twice(): ReactNode {
    const [a, b] = [useTimeline(room.id), useTimeline(room.id)];
    if (a.items !== b.items) torn.push(`${a.items.length} ${b.items.length}`);
    return <p>{a.items.length}</p>;
  }
  const page = await show(client, <><Twice /><Twice /></>);
  for (let i = 0; i < 20; i++) server.say(room, "bob", "hello");
  await pass();
  expect(texts(page)).toEqual(["20", "20"]);
  expect(torn).toEqual([]);
});

test("a hook without a provider says what is missing", async () => {
  const root = createRoot(document.createElement("div"));
  function Alone(): ReactNode {
    return useConnection().status;
  }
  await expect(act(async () => root.render(<Alone />))).rejects.toThrow("ParleyProvider");
});
