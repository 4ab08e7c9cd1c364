import type { ReactNode } from "react";

const paths = {
  alert: "M12 8v5M12 16.3v.2M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 1 0-17 0",
  archive: "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
  back: "M15 5l-7 7 7 7",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4",
  bellOff: "M6 16V11a6 6 0 0 1 1.2-3.6M10 5.3A6 6 0 0 1 18 11v5l1.5 2h-11M10 20.5h4M4 4l16 16",
  check: "M5 12.5l4.5 4.5L19 7",
  clock: "M12 7.5V12l3 2M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 1 0-17 0",
  close: "M6 6l12 12M18 6L6 18",
  compass: "M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 1 0-17 0M15.5 8.5l-2 5-5 2 2-5z",
  copy: "M9 9h10v11H9zM6 15H5V4h10v2",
  down: "M6 10l6 6 6-6",
  edit: "M4 20l1-4L16.5 4.5l3 3L8 19zM14.5 6.5l3 3",
  exit: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  eye: "M2.5 12C4.5 8 8 6 12 6s7.5 2 9.5 6c-2 4-5.5 6-9.5 6s-7.5-2-9.5-6M9.2 12a2.8 2.8 0 1 0 5.6 0 2.8 2.8 0 1 0-5.6 0",
  hash: "M9.5 4.5l-2 15M16.5 4.5l-2 15M4.5 9.3h15.5M4 14.7h15.5",
  info: "M12 11v5.5M12 7.7v.2M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 1 0-17 0",
  live: "M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M7.5 16.5a6.4 6.4 0 0 1 0-9M16.5 7.5a6.4 6.4 0 0 1 0 9M4.7 19.3a10.4 10.4 0 0 1 0-14.6M19.3 4.7a10.4 10.4 0 0 1 0 14.6",
  logout: "M14 4h5v16h-5M4 12h10M8 8l-4 4 4 4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  more: "M11.4 5.5a.6.6 0 1 0 1.2 0 .6.6 0 1 0-1.2 0M11.4 12a.6.6 0 1 0 1.2 0 .6.6 0 1 0-1.2 0M11.4 18.5a.6.6 0 1 0 1.2 0 .6.6 0 1 0-1.2 0",
  pause: "M8.5 6v12M15.5 6v12",
  people: "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 19.5c.5-3.5 3-5.5 6.5-5.5s6 2 6.5 5.5M15.5 5a3.3 3.3 0 0 1 0 6.3M17.5 14.3c2.3.7 3.7 2.5 4 5.2",
  pin: "M9 4h6l-1 6 3 3v1H7v-1l3-3zM12 14v6",
  plus: "M12 5v14M5 12h14",
  reply: "M9 6l-5 5 5 5M4.5 11H13c4 0 6.5 2 7 7",
  search: "M4 10.5a6.5 6.5 0 1 0 13 0 6.5 6.5 0 1 0-13 0M15.5 15.5L20 20",
  send: "M5 12L4 4.5 20.5 12 4 19.5zM5 12h7",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M13 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M7 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  smile: "M3.5 12a8.5 8.5 0 1 0 17 0 8.5 8.5 0 1 0-17 0M8.5 14c.8 1.5 2 2.2 3.5 2.2s2.7-.7 3.5-2.2M9 9.7v.2M15 9.7v.2",
  sun: "M8 12a4 4 0 1 0 8 0 4 4 0 1 0-8 0M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1 1M17.4 17.4l1 1M18.4 5.6l-1 1M6.6 17.4l-1 1",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  thread: "M5 5h14v10H12l-4 4v-4H5zM9 8.7h6M9 11.5h4",
  ticks: "M1.5 13l4.5 4.5L15.5 7M12 16.7l.8.8L22.5 7",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l.7 12.5h8.6L17 7M10.5 10.5v6M13.5 10.5v6",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20c.7-4 3.5-6 7.5-6s6.8 2 7.5 6",
} as const;

export type IconName = keyof typeof paths;

/** A picture for the eye. With a label it is one for everybody; without, whoever cannot see it misses nothing. */
export function Icon({ name, label, small }: { name: IconName; label?: string; small?: boolean }): ReactNode {
  const said = label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    <svg className={small ? "icon small" : "icon"} viewBox="0 0 24 24" {...said}>
      <path d={paths[name]} />
    </svg>
  );
}
