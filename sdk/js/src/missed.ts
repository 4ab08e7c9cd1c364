import { ParleyError } from "./errors.js";
import type { Callable, Frame, ParamsOf, ResultOf } from "./link.js";
import type { Resume, RoomsToAll } from "./protocol.js";

/** Makes a call on one certain session. */
export type CallOn = <M extends Callable>(method: M, params: ParamsOf<M>) => Promise<ResultOf<M>>;

/**
 * Joins positions to a session that could not be told them and follows its rooms from some moment on: finds what lies between and tells it as resets.
 * `held` are the frames that the session has brought so far; they follow what is returned. Rooms that the session does not follow by
 * itself are subscribed to from their positions.
 */
export async function missed(call: CallOn, epoch: string, resume: Resume, rooms: RoomsToAll, held: readonly Frame[]): Promise<Frame[]> {
  const left = new Map(Object.entries(resume.rooms));
  const found: Frame[] = [];
  const heads = rooms === "all" ? await followed(call) : new Map<string, number>();
  for (const [room, head] of heads) {
    const seq = left.get(room);
    if (seq === undefined) continue;
    left.delete(room);
    const first = held.find((frame) => frame.room === room && ("seq" in frame || frame.event === "reset" || frame.event === "skipped"));
    const base = first ? before(first) : head;
    if (base !== seq || resume.epoch !== epoch) found.push({ event: "reset", room, data: { head: base } });
  }
  for (const [room, seq] of left) {
    try {
      if (resume.epoch === epoch) {
        await call("room.subscribe", { room, after: seq });
      } else {
        const { head } = await call("room.subscribe", { room });
        found.push({ event: "reset", room, data: { head } });
      }
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== "not_found") throw error;
      found.push({ event: "room.removed", room, data: { reason: "gone" } });
    }
  }
  return found;
}

/** Where the stream of a room stood before the frame. */
function before(frame: Frame): number {
  if (frame.event === "reset") return frame.data.head;
  if (frame.event === "skipped") return frame.data.from - 1;
  return "seq" in frame ? frame.seq - 1 : 0;
}

/** The heads of the rooms that a session follows by itself. */
async function followed(call: CallOn): Promise<Map<string, number>> {
  const heads = new Map<string, number>();
  let page: string | undefined;
  do {
    const list = await call("room.list", { limit: 500, ...(page !== undefined && { page }) });
    for (const { room, head } of list.rooms) heads.set(room.id, head);
    page = list.page;
  } while (page !== undefined);
  return heads;
}
