// A virtual list keeps its place over a change at its front or at its end, but not over both at once, which is what a timeline does that loads a page
// at one end and lets go of one at the other. So such a change is shown in two steps.

import { useLayoutEffect, useReducer, useRef } from "react";

import { shifted, type Row } from "./rows.js";

/** What to show next on the way from some rows to others. `shift`: only the front differs. `fresh`: nothing that was shown is left. */
export interface Step {
  readonly rows: readonly Row[];
  readonly shift: boolean;
  readonly fresh: boolean;
}

/** The next step on the way from what is shown to what is to be shown. */
export function step(shown: readonly Row[], to: readonly Row[]): Step {
  const keys = new Set(to.map((row) => row.key));
  const kept = shown.findIndex((row) => row.type === "message" && keys.has(row.key));
  if (kept < 0) return { rows: to, shift: false, fresh: shown !== to && shown.some((row) => row.type === "message") };
  const moved = shifted(shown, to);
  if (moved === 0 || to.length - shown.length === moved) return { rows: to, shift: moved !== 0, fresh: false };
  const at = to.findIndex((row) => row.key === shown[kept]!.key);
  return { rows: [...to.slice(0, at), ...shown.slice(kept)], shift: true, fresh: false };
}

/** Rows to give to a virtual list: those asked for, or the first step towards them, and then at once the next. */
export function useSteps(to: readonly Row[]): Step {
  const shown = useRef(to);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const next = shown.current === to ? { rows: to, shift: false, fresh: false } : step(shown.current, to);
  useLayoutEffect(() => {
    shown.current = next.rows;
    if (next.rows !== to) again();
  });
  return next;
}
