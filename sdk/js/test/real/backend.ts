// What an application brings, for the programs of the documents: it signs tokens, and has made a room of alice and bob.

import type { Callable, ParamsOf, ResultOf } from "../../src/index.js";
import type { RealServer } from "./server.js";

const { server } = globalThis as unknown as { server: RealServer };
const key = server.key();

/** A token for a user. */
export const tokenOf = (user: string): string => server.token(user);

/** Makes a call with the API key. */
export const asBackEnd = <M extends Callable>(method: M, params: ParamsOf<M>): Promise<ResultOf<M>> => server.call(key, method, params);

for (const user of ["alice", "bob"]) await asBackEnd("user.update", { user });

/** The id of the room. */
export const lunch = (await asBackEnd("room.create", { kind: "group", name: "Lunch", members: ["alice", "bob"] })).room.id;
