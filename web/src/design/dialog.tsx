import { useEffect, useId, useRef, type ReactNode } from "react";

import { IconButton } from "./button.js";

/** A modal dialog, open for as long as it is mounted. `onClose` is called when it is closed by its button, by Escape or by a press beside it. */
export function Dialog({ title, onClose, children }: { title: string; onClose(): void; children: ReactNode }): ReactNode {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current!;
    const before = (dialog.getRootNode() as Document | ShadowRoot).activeElement;
    dialog.showModal();
    (dialog.querySelector<HTMLElement>(".dialog-body input:not([type=radio])") ?? dialog.querySelector<HTMLElement>(".dialog-body button"))?.focus();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      className="dialog"
      onKeyDown={(event) => event.key === "Escape" && event.stopPropagation()} // what is below stays open
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault(); // it goes when it is unmounted
        onClose();
      }}
      onMouseDown={(event) => event.target === element.current && onClose()}
    >
      <header>
        <h2 id={heading}>{title}</h2>
        <IconButton icon="close" label="Close" onClick={onClose} />
      </header>
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}
