import { expect, test } from "vitest";
import { Value } from "../src/observable.js";

test("listeners hear of changes, in order, until they leave", () => {
  const value = new Value(1);
  const heard: string[] = [];
  const leaveA = value.subscribe(() => heard.push(`a${value.get()}`));
  value.subscribe(() => heard.push(`b${value.get()}`));
  value.set(1);
  value.set(2);
  leaveA();
  value.set(3);
  expect(heard).toEqual(["a2", "b2", "b3"]);
});

test("a listener that leaves while another is called is not called any more", () => {
  const value = new Value(1);
  let heard = 0;
  value.subscribe(() => leave());
  const leave = value.subscribe(() => heard++);
  value.set(2);
  expect(heard).toBe(0);
});
