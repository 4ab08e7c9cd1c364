import type { Message } from "@parley-im/client";
import { useEffect, useState, type ReactNode } from "react";

import { IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { Menu, type Choice } from "../design/menu.js";
import { EmojiPicker, useOffersEmoji } from "./emoji.js";
import type { MessageActs } from "./message.js";

/** What can be done with a message. */
export interface Acts {
  react(message: Message, emoji: string): void;
  reply(message: Message): void;
  edit(message: Message): void;
  remove(message: Message): void;
  thread(message: Message): void;
}

/** What opens from the tools of a message: all of them as a menu, or the choice of emoji to react with. */
export type Opened = "menu" | "emoji";

/** The reactions that are one press away. */
export const quick = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"] as const;

/** The tools of the message under the pointer or the focus: side by side, or in a narrow column one button with a menu. */
export function Toolbar({ message, own, moderator, threaded, open, acts }: {
  message: Message; own: boolean; moderator: boolean; threaded: boolean; open: Opened | undefined; acts: Acts & Pick<MessageActs, "open">;
}): ReactNode {
  const [picking, setPicking] = useState(false);
  const [bar, setBar] = useState<HTMLElement | null>(null);
  useEffect(() => {
    if (picking) bar!.querySelector("button")!.focus();
  }, [picking]);
  useEffect(() => () => acts.open(undefined), []); // what is open goes with it
  const close = (): void => acts.open(undefined);
  const react = (emoji: string): void => {
    bar!.closest<HTMLElement>("[data-key]")!.focus();
    setPicking(false);
    close();
    acts.react(message, emoji);
  };
  const choices = [
    { icon: "reply", label: "Reply", act: () => acts.reply(message) },
    ...(own ? [{ icon: "edit", label: "Edit", act: () => acts.edit(message) } as const] : []),
    ...(threaded ? [] : [{ icon: "thread", label: "Thread", act: () => acts.thread(message) } as const]),
    ...(own || moderator ? [{ icon: "trash", label: "Delete", danger: true, act: () => acts.remove(message) } as const] : []),
  ] as const satisfies readonly Choice[];
  return (
    <>
      <div ref={setBar} className="toolbar" role="toolbar" aria-label="Message">
        {picking
          ? <Quick onPick={react} onMore={() => acts.open("emoji")} />
          : <>
            <IconButton icon="smile" label="React" small onClick={() => setPicking(true)} />
            {choices.map(({ icon, label, act }) => <IconButton key={label} icon={icon} label={label} small onClick={act} />)}
          </>}
        <IconButton icon="more" label="More" small className="folded" aria-haspopup="menu" aria-expanded={open === "menu"} onClick={() => acts.open("menu")} />
      </div>
      {bar && open === "menu" && (
        <Menu
          anchor={bar.querySelector<HTMLElement>(".folded")!} label="Message" choices={choices} onClose={close}
          head={<div className="menu-emoji" role="group" aria-label="React"><Quick role="menuitem" onPick={react} onMore={() => acts.open("emoji")} /></div>}
        />
      )}
      {bar && open === "emoji" && <EmojiPicker anchor={bar} onPick={react} onClose={close} />}
    </>
  );
}

/** The reactions that are one press away, and the way to all others. */
function Quick({ role, onPick, onMore }: { role?: "menuitem"; onPick(emoji: string): void; onMore(): void }): ReactNode {
  const more = useOffersEmoji();
  const of = role && { role, tabIndex: -1 };
  return (
    <>
      {quick.map((emoji) => <button key={emoji} type="button" className="emoji-button" aria-label={`React with ${emoji}`} onClick={() => onPick(emoji)} {...of}>{emoji}</button>)}
      {more && <button type="button" className="emoji-button" aria-label="More emoji" title="More emoji" onClick={onMore} {...of}><Icon name="plus" /></button>}
    </>
  );
}
