import type { ReactNode } from "react";

import { Icon, type IconName } from "../design/icon.js";

const looks = {
  pending: ["clock", "Waiting to be sent"],
  failed: ["alert", "Not sent"],
  sent: ["check", "Sent"],
  delivered: ["ticks", "Delivered"],
  read: ["ticks", "Read"],
} as const satisfies Record<string, readonly [IconName, string]>;

/** How far a message of one's own has got. */
export type Progress = keyof typeof looks;

/** The mark beside a message of one's own. */
export function Status({ progress }: { progress: Progress }): ReactNode {
  const [icon, label] = looks[progress];
  return <span className={`status ${progress}`} title={label}><Icon name={icon} label={label} small /></span>;
}
