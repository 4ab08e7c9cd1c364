import { CarriedSession, type Carrier } from "./carried.js";
import { refusal, Unreachable } from "./http.js";
import type { Push } from "./protocol.js";
import type { Session, Setting } from "./session.js";

/**
 * Opens a session over server-sent events. They are read with fetch, not with EventSource: it can set headers, so that no credential, not even
 * a one-time ticket, is in an address, and it tells why it was refused.
 */
export function openEvents(setting: Setting): Session {
  return new CarriedSession(setting, carrier);
}

const carrier: Carrier = {
  silence: (hello) => 2 * hello.heartbeat_ms,
  async receive({ setting, signal, token, take, heard }) {
    const { platform, hello, trail } = setting;
    const url = setting.address("events");
    url.searchParams.set("device", hello.device);
    if (hello.client !== undefined) url.searchParams.set("client", hello.client);
    if (hello.rooms !== undefined) url.searchParams.set("rooms", hello.rooms);
    const headers: Record<string, string> = { Authorization: `Bearer ${token()}`, Accept: "text/event-stream" };
    if (trail.id !== undefined) headers["Last-Event-ID"] = trail.id;
    const response = await platform.fetch(url, { headers, signal, cache: "no-store" });
    if (!response.ok) throw await refusal(response);
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream") || !response.body) {
      throw new Unreachable("What answers is no event stream.");
    }
    const reader = response.body.getReader();
    const parse = eventParser((data, id) => {
      take(JSON.parse(data) as Push);
      if (id !== undefined) trail.id = id;
    });
    const decoder = new TextDecoder();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      parse(decoder.decode(value, { stream: true }));
    }
  },
};

/** Makes a parser of event streams that is fed text in any pieces and tells every message: its data, and its id if it has one. */
export function eventParser(message: (data: string, id: string | undefined) => void): (text: string) => void {
  let rest = "";
  let data: string[] = [];
  let id: string | undefined;
  const line = (text: string): void => {
    if (text === "") {
      if (data.length > 0) message(data.join("\n"), id);
      data = [];
      id = undefined;
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "id") id = value;
  };
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) line(text.endsWith("\r") ? text.slice(0, -1) : text);
  };
}
