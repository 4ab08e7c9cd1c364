import { CarriedSession, type Carrier } from "./carried.js";
import { post } from "./http.js";
import type { PollParams, PollResult } from "./protocol.js";
import type { Session, Setting } from "./session.js";

/** Opens a session over long polling. */
export function openPoll(setting: Setting): Session {
  return new CarriedSession(setting, carrier);
}

/** How long the server may keep a poll open that has nothing to tell, in milliseconds. */
const wait = 25_000;

const carrier: Carrier = {
  silence: () => wait + 10_000,
  async receive({ setting, signal, token, take, heard }) {
    const { token: _, ...opening } = setting.hello;
    let body: PollParams = opening;
    for (;;) {
      const answer = (await post(setting.platform, setting.address("poll"), token(), JSON.stringify(body), { signal })) as PollResult;
      heard();
      for (const frame of answer.frames) take(frame);
      if (signal.aborted) return;
      body = { session: answer.session, ack: answer.cursor, timeout_ms: wait };
    }
  },
};
