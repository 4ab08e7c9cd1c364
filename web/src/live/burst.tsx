import { useEffect, useRef, type ReactNode } from "react";

/** Emoji in flight at most: more are a fog. */
const most = 30;

/** Emoji that fly up and fade, for the eye alone. Each new array flies once; where people want less motion nothing does. */
export function Burst({ emoji }: { emoji: readonly string[] }): ReactNode {
  const sky = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = sky.current!;
    if (emoji.length === 0 || document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const mark of emoji.slice(0, Math.max(0, most - element.childElementCount))) fly(element, mark);
  }, [emoji]);
  return <div ref={sky} className="burst" aria-hidden="true" />;
}

function fly(sky: HTMLElement, mark: string): void {
  const spark = document.createElement("span");
  spark.textContent = mark;
  spark.style.insetInlineEnd = `${4 + Math.random() * 22}%`;
  sky.append(spark);
  const [drift, turn, height] = [(Math.random() - 0.5) * 64, (Math.random() - 0.5) * 40, 45 + Math.random() * 45];
  const at = (part: number, scale: number): string => `translate(${drift * part}px, ${-height * part}cqh) rotate(${turn * part}deg) scale(${scale})`;
  const flight = spark.animate(
    [
      { transform: at(0, 0.4), opacity: 0 },
      { transform: at(0.15, 1.15), opacity: 1, offset: 0.15 },
      { transform: at(0.7, 1), opacity: 0.9, offset: 0.7 },
      { transform: at(1, 0.9), opacity: 0 },
    ],
    { duration: 1800 + Math.random() * 900, delay: Math.random() * 250, easing: "cubic-bezier(0.2, 0.7, 0.4, 1)", fill: "backwards" },
  );
  const land = (): void => spark.remove();
  flight.finished.then(land, land);
}
