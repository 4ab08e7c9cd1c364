import { openLink } from "../src/connection.js";
import type { Frame, Link, LinkOptions } from "../src/link.js";
import { FakeServer, settle, TestClock } from "../src/testing/index.js";

/** A link to a fake server, with what it was told. */
export interface Rig {
  clock: TestClock;
  server: FakeServer;
  link: Link;
  frames: Frame[];
  /** the seqs of the events that came, in order */
  seqs: () => number[];
  /** every status, as it came */
  statuses: string[];
}

/** Opens a link of alice to a fake server, and starts it unless told not to. */
export async function rig(options: Partial<LinkOptions> & { start?: boolean; prepare?: (server: FakeServer) => void } = {}): Promise<Rig> {
  const { start = true, prepare, platform, ...rest } = options;
  const clock = new TestClock();
  const server = new FakeServer(clock);
  prepare?.(server);
  const link = openLink({ url: "http://fake", device: "d1", token: () => "alice", platform: { ...server.platform, ...clock, ...platform }, ...rest });
  const frames: Frame[] = [];
  link.onFrame((frame) => frames.push(frame));
  const statuses: string[] = [];
  link.state.subscribe(() => statuses.push(link.state.get().status));
  if (start) link.start();
  await settle();
  return { clock, server, link, frames, statuses, seqs: () => frames.flatMap((frame) => ("seq" in frame ? [frame.seq] : [])) };
}

/** A WebSocket whose server says what the test has it say. */
export class Scripted {
  static last: Scripted;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror = null;
  closed = false;
  readonly sent: { id: number; method: string; params: object }[] = [];
  constructor() {
    Scripted.last = this;
    queueMicrotask(() => this.onopen?.());
  }
  send(data: string): void {
    this.sent.push(JSON.parse(data) as Scripted["sent"][number]);
  }
  close(): void {
    this.closed = true;
  }
  say(...frames: object[]): void {
    this.onmessage?.({ data: frames.map((frame) => JSON.stringify(frame)).join("\n") });
  }
}
