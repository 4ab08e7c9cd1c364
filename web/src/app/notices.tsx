// Short words to the person that go away by themselves.

import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from "react";

import { IconButton } from "../design/button.js";

const shownMs = 6000;
const atOnce = 3;

interface Notice {
  readonly id: number;
  readonly text: string;
}

const Context = createContext<(text: string) => void>(() => {});

/** Tells the person something. */
export function useNotify(): (text: string) => void {
  return useContext(Context);
}

/** The place where notices appear, for everything below. */
export function Notices({ children }: { children: ReactNode }): ReactNode {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const notify = useCallback((text: string) => setNotices((all) => [...all, { id: (all.at(-1)?.id ?? 0) + 1, text }].slice(-atOnce)), []);
  const dismiss = useCallback((id: number) => setNotices((all) => all.filter((notice) => notice.id !== id)), []);
  return (
    <Context.Provider value={notify}>
      {children}
      <div className="notices" role="status">
        {notices.map((notice) => <Shown key={notice.id} notice={notice} onDismiss={dismiss} />)}
      </div>
    </Context.Provider>
  );
}

function Shown({ notice: { id, text }, onDismiss }: { notice: Notice; onDismiss(id: number): void }): ReactNode {
  useEffect(() => {
    const timer = setTimeout(() => onDismiss(id), shownMs);
    return () => clearTimeout(timer);
  }, [id, onDismiss]);
  return <div className="notice"><p>{text}</p><IconButton icon="close" label="Dismiss" small onClick={() => onDismiss(id)} /></div>;
}
