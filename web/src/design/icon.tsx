import type { ReactNode } from "react";

const paths = {
  alert: "M12 8v5M12 16.300v.2M3.500 12a8.500 8.500 0 1 0 17 0 8.500 8.500 0 1 0-17 0",
  archive: "M4 5h16v4H4zM5.500 9v10h13V9M10 13h4",
  back: "M15 5l-7 7 7 7",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 20.500h4",
  bellOff: "M6 16V11a6 6 0 0 1 1.200-3.600M10 5.300A6 6 0 0 1 18 11v5l1.500 2h-11M10 20.500h4M4 4l16 16",
  check: "M5 12.500l4.500 4.500L19 7",
  clock: "M12 7.500V12l3 2M3.500 12a8.500 8.500 0 1 0 17 0 8.500 8.500 0 1 0-17 0",
  close: "M6 6l12 12M18 6L6 18",
  compass: "M3.500 12a8.500 8.500 0 1 0 17 0 8.500 8.500 0 1 0-17 0M15.500 8.500l-2 5-5 2 2-5z",
  copy: "M9 9h10v11H9zM6 15H5V4h10v2",
  down: "M6 10l6 6 6-6",
  edit: "M4 20l1-4L16.500 4.500l3 3L8 19zM14.500 6.500l3 3",
  exit: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9",
  hash: "M9.500 4.500l-2 15M16.500 4.500l-2 15M4.500 9.300h15.500M4 14.700h15.500",
  info: "M12 11v5.500M12 7.700v.2M3.500 12a8.500 8.500 0 1 0 17 0 8.500 8.500 0 1 0-17 0",
  logout: "M14 4h5v16h-5M4 12h10M8 8l-4 4 4 4",
  moon: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
  more: "M12 5.500v.2M12 12v.2M12 18.500v.2",
  people: "M9 11.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M2.500 19.500c.5-3.500 3-5.500 6.500-5.500s6 2 6.500 5.500M15.500 5a3.300 3.300 0 0 1 0 6.300M17.500 14.300c2.300.7 3.700 2.500 4 5.200",
  pin: "M9 4h6l-1 6 3 3v1H7v-1l3-3zM12 14v6",
  plus: "M12 5v14M5 12h14",
  reply: "M9 6l-5 5 5 5M4.500 11H13c4 0 6.500 2 7 7",
  search: "M4 10.500a6.500 6.500 0 1 0 13 0 6.500 6.500 0 1 0-13 0M15.500 15.500L20 20",
  send: "M5 12L4 4.500 20.500 12 4 19.500zM5 12h7",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M13 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M7 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  smile: "M3.500 12a8.500 8.500 0 1 0 17 0 8.500 8.500 0 1 0-17 0M8.500 14c.8 1.500 2 2.200 3.500 2.200s2.700-.7 3.500-2.200M9 9.700v.2M15 9.700v.2",
  sun: "M8 12a4 4 0 1 0 8 0 4 4 0 1 0-8 0M12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1 1M17.400 17.400l1 1M18.400 5.600l-1 1M6.600 17.400l-1 1",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  thread: "M5 5h14v10H12l-4 4v-4H5zM9 8.700h6M9 11.500h4",
  ticks: "M2.500 12.500L7 17l8-9M11.500 16l1 1L21 8",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l.7 12.500h8.600L17 7M10.500 10.500v6M13.500 10.500v6",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.500 20c.7-4 3.500-6 7.500-6s6.800 2 7.500 6",
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
