// The choice of emoji. It is a script of its own, /emoji.js, which is asked for when somebody first opens it, and stands on no framework, since the client
// and the elements for other pages have different ones. It keeps the focus in its search field: the arrows move a mark among the emoji.

import { groups, search, type Emoji } from "./list.js";
import css from "./picker.css?inline";

/** What the choice is made with. */
export interface Options {
  /** where those used last are kept, by a storage that may be full or forbidden */
  storage(): Pick<Storage, "getItem" | "setItem">;
  onPick(emoji: string): void;
}

const key = "parley.emoji";
/** Those used last that are kept: three lines. */
const most = 24;
const sheet = new CSSStyleSheet();
sheet.replaceSync(css);

/** Fills an empty element, as large as it is, with the choice of emoji. It takes the focus, where that would not bring up a keyboard on the screen. */
export function showEmoji(root: HTMLElement, { storage, onPick }: Options): void {
  const place = root.getRootNode() as Document | ShadowRoot;
  if (!place.adoptedStyleSheets.includes(sheet)) place.adoptedStyleSheets.push(sheet);
  const input = element("input", { type: "text", class: "input", role: "combobox", "aria-label": "Search emoji", "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": "emoji-list", autocomplete: "off", spellcheck: "false", placeholder: "Search" });
  const tabs = element("div", { class: "emoji-tabs" });
  const list = element("div", { class: "emoji-list", id: "emoji-list", role: "listbox", "aria-label": "Emoji" });
  const foot = element("div", { class: "emoji-foot", "aria-hidden": "true" }); // the field tells whoever cannot see it
  const none = element("div", { class: "unseen", role: "status" });
  const options = (): HTMLElement[] => [...list.querySelectorAll<HTMLElement>("[role=option]")];
  let current: HTMLElement | undefined;

  const mark = (option: HTMLElement | undefined): void => {
    current?.setAttribute("aria-selected", "false");
    current?.removeAttribute("id");
    current = option;
    none.textContent = option ? "" : "No emoji found";
    foot.textContent = option ? option.ariaLabel : none.textContent;
    if (!option) return input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.id = "emoji-current";
    input.setAttribute("aria-activedescendant", option.id);
  };
  const show = (): void => {
    const query = input.value.trim();
    tabs.hidden = query !== "";
    list.replaceChildren(...(query ? [groupOf("Found", search(query))] : [groupOf("Used last", recent(storage)), ...groups.map(({ name, emoji }) => groupOf(name, emoji))]));
    list.scrollTop = 0;
    mark(options()[0]);
  };
  const pick = (option: HTMLElement | undefined): void => {
    const emoji = option?.textContent;
    if (!emoji) return;
    keep(storage, emoji);
    onPick(emoji);
  };

  for (const { name, icon } of groups) {
    const tab = element("button", { type: "button", class: "emoji-button", "aria-label": name, title: name }, icon);
    tab.addEventListener("click", () => list.querySelector(`[aria-label="${name}"]`)?.scrollIntoView());
    tabs.append(tab);
  }
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const all = options();
    const from = current ? all.indexOf(current) : -1;
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, ArrowDown: line(all, from, 1), ArrowUp: line(all, from, -1) }[event.key];
    if (to !== undefined && from >= 0) {
      mark(all[Math.min(Math.max(to, 0), all.length - 1)]);
      current?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") pick(current);
    else return;
    event.preventDefault(); // nor does Enter send the message that is being written
  });
  list.addEventListener("pointermove", (event) => {
    if (event.movementX !== 0 || event.movementY !== 0) mark(optionAt(event) ?? current); // it moves, not what is below it
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => pick(optionAt(event)));
  root.append(input, tabs, list, foot, none);
  show();
  if (matchMedia("(hover: hover)").matches) input.focus();
}

function groupOf(name: string, emoji: readonly Emoji[]): HTMLElement {
  const group = element("div", { role: "group", "aria-label": name, class: "emoji-group" });
  group.hidden = emoji.length === 0;
  group.append(
    element("div", { class: "emoji-title", "aria-hidden": "true" }, name),
    ...emoji.map(({ emoji, name }) => element("div", { role: "option", "aria-selected": "false", "aria-label": name }, emoji)),
  );
  return group;
}

/** The option that is nearest in the next line, or in the one before; the same where there is none. */
function line(all: readonly HTMLElement[], from: number, step: 1 | -1): number {
  const start = all[from];
  if (!start) return from;
  const next = all.findIndex((option, i) => i > from && option.offsetTop > start.offsetTop);
  const before = all.findLastIndex((option, i) => i < from && option.offsetTop < start.offsetTop);
  const edge = step > 0 ? next : before;
  if (edge < 0) return from;
  const off = (i: number): number => Math.abs(all[i]!.offsetLeft - start.offsetLeft);
  let nearest = edge;
  for (let i = edge; all[i]?.offsetTop === all[edge]!.offsetTop; i += step) if (off(i) < off(nearest)) nearest = i;
  return nearest;
}

function optionAt({ target }: Event): HTMLElement | undefined {
  return (target as HTMLElement).closest<HTMLElement>("[role=option]") ?? undefined;
}

/** An element whose content is text, and nothing else. */
function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, attributes: Record<string, string>, text = ""): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Those used last, the last one first. What else a storage may hold is none. */
export function recent(storage: Options["storage"]): readonly Emoji[] {
  const known = new Map(groups.flatMap(({ emoji }) => emoji).map((one) => [one.emoji, one]));
  try {
    const kept: unknown = JSON.parse(storage().getItem(key) ?? "[]");
    return Array.isArray(kept) ? [...new Set(kept)].flatMap((emoji) => known.get(emoji as string) ?? []).slice(0, most) : [];
  } catch {
    return [];
  }
}

/** Keeps one as the last. */
export function keep(storage: Options["storage"], emoji: string): void {
  const before = recent(storage).map((one) => one.emoji).filter((other) => other !== emoji);
  try {
    storage().setItem(key, JSON.stringify([emoji, ...before].slice(0, most)));
  } catch {
    // A storage that is full, or forbidden: then none is kept.
  }
}
