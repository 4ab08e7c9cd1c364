import { useEffect, useLayoutEffect, useRef, type KeyboardEvent, type ReactNode } from "react";

import { Icon, type IconName } from "./icon.js";

/** Something to choose in a menu. */
export interface Choice {
  readonly label: string;
  readonly icon?: IconName;
  /** of choices that exclude each other: whether it is the one that holds */
  readonly chosen?: boolean;
  readonly danger?: boolean;
  readonly act: () => void;
}

/** Where a popover goes: below its anchor or above it, within the window. */
function place(popover: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const below = at.bottom + 4 + height <= window.innerHeight - 8;
  const top = below ? at.bottom + 4 : Math.max(8, at.top - 4 - height);
  const left = Math.min(Math.max(8, at.right - width), window.innerWidth - width - 8);
  popover.style.top = `${top}px`;
  popover.style.left = `${left}px`;
}

/**
 * Something that opens beside its anchor, over everything, for as long as it is mounted. `onClose` is called when a press elsewhere or Escape has closed it.
 */
export function Popover({ anchor, onClose, className = "", children }: {
  anchor: HTMLElement; onClose(): void; className?: string; children: ReactNode;
}): ReactNode {
  const element = useRef<HTMLDivElement>(null);
  const closed = useRef(onClose);
  closed.current = onClose;
  useLayoutEffect(() => { // it gives the focus back while it is there
    const popover = element.current!;
    const toggled = (event: Event): void => {
      if ((event as ToggleEvent).newState === "closed") closed.current();
    };
    popover.showPopover();
    place(popover, anchor);
    popover.addEventListener("toggle", toggled);
    return () => {
      popover.removeEventListener("toggle", toggled);
      const inside = popover.matches(":focus-within");
      popover.hidePopover();
      if (inside && anchor.isConnected) anchor.focus();
    };
  }, [anchor]);
  return (
    <div ref={element} popover="auto" className={`popover ${className}`.trimEnd()} onKeyDown={(event) => event.key === "Escape" && event.stopPropagation()}>
      {children}
    </div>
  );
}

/** A menu beside its anchor. Arrows move in it, a choice or Escape closes it. `head` are menu items, too, which stand side by side above the choices. */
export function Menu({ anchor, label, choices, head, onClose }: {
  anchor: HTMLElement; label: string; choices: readonly Choice[]; head?: ReactNode; onClose(): void;
}): ReactNode {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current!.querySelector<HTMLElement>("button")?.focus(), []);
  const key = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const items = [...list.current!.querySelectorAll<HTMLElement>("button")];
    const at = items.indexOf((list.current!.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement);
    items.at((at + step) % items.length)?.focus();
  };
  return (
    <Popover anchor={anchor} onClose={onClose}>
      <div ref={list} className="menu" role="menu" aria-label={label} onKeyDown={key}>
        {head}
        {choices.map(({ label, icon, chosen, danger, act }) => (
          <button
            key={label}
            type="button"
            tabIndex={-1}
            role={chosen === undefined ? "menuitem" : "menuitemradio"}
            aria-checked={chosen}
            className={danger ? "danger" : ""}
            onClick={() => {
              onClose();
              act();
            }}
          >
            {icon && <Icon name={icon} />}
            {label}
            {chosen && <Icon name="check" small />}
          </button>
        ))}
      </div>
    </Popover>
  );
}
