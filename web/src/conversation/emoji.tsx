// Where the choice of emoji opens. It is a script of its own, which is brought by whatever a conversation is part of.

import { createContext, useContext, useEffect, useRef, useState, type ReactNode, type RefObject } from "react";

import { IconButton } from "../design/button.js";
import { Popover } from "../design/menu.js";

/** Where the choice of emoji comes from, and where those used last are kept. */
export interface EmojiSource {
  load(): Promise<Pick<typeof import("../emoji/picker.js"), "showEmoji">>;
  storage(): Pick<Storage, "getItem" | "setItem">;
}

/** The choice of emoji that a server has: its script /emoji.js. */
export function emojiFrom(server: string, storage: EmojiSource["storage"]): EmojiSource {
  return { load: () => import(/* @vite-ignore */ `${server}/emoji.js`) as ReturnType<EmojiSource["load"]>, storage };
}

const Source = createContext<EmojiSource | undefined>(undefined);

/** Gives the choice of emoji to all below; without it none is offered. */
export const EmojiProvider = Source.Provider;

/** Whether there are emoji to choose from. */
export function useOffersEmoji(): boolean {
  return useContext(Source) !== undefined;
}

/** The choice of emoji, beside its anchor. */
export function EmojiPicker({ anchor, onPick, onClose }: { anchor: HTMLElement; onPick(emoji: string): void; onClose(): void }): ReactNode {
  const source = useContext(Source);
  const host = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState(false);
  const picked = useRef(onPick);
  picked.current = onPick;
  useEffect(() => {
    let open = true;
    source?.load().then(
      ({ showEmoji }) => open && showEmoji(host.current!, { storage: source.storage, onPick: (emoji) => picked.current(emoji) }),
      () => open && setFailed(true),
    );
    return () => {
      open = false;
    };
  }, []);
  return (
    <Popover anchor={anchor} onClose={onClose}>
      <div ref={host} className="emoji-picker" role="dialog" aria-label="Emoji" />
      {failed && <p className="emoji-failed" role="alert">The emoji could not be loaded.</p>}
    </Popover>
  );
}

/** A button that puts an emoji into a field, where its caret is. */
export function EmojiButton({ input, onText }: { input: RefObject<HTMLInputElement | HTMLTextAreaElement | null>; onText(text: string): void }): ReactNode {
  const [anchor, setAnchor] = useState<HTMLElement>();
  const pick = (emoji: string): void => {
    const field = input.current!;
    const { value, selectionStart: from, selectionEnd: to } = field;
    const before = value.slice(0, from ?? value.length) + emoji;
    onText(before + value.slice(to ?? value.length));
    if (matchMedia("(hover: hover)").matches) field.focus(); // a phone's keyboard would come up
    requestAnimationFrame(() => field.setSelectionRange(before.length, before.length));
    setAnchor(undefined);
  };
  if (!useOffersEmoji()) return null;
  return (
    <>
      <IconButton icon="smile" label="Emoji" aria-haspopup="dialog" aria-expanded={anchor !== undefined} onClick={(event) => setAnchor(anchor ? undefined : event.currentTarget)} />
      {anchor && <EmojiPicker anchor={anchor} onPick={pick} onClose={() => setAnchor(undefined)} />}
    </>
  );
}
