import type { ComponentProps, ReactNode } from "react";

import { Icon, type IconName } from "./icon.js";

type Props = Omit<ComponentProps<"button">, "ref">;

/** A button with words on it. It submits no form unless its type says so. */
export function Button({ look = "", className = "", ...props }: Props & { look?: string }): ReactNode {
  return <button type="button" className={`button ${look} ${className}`.trimEnd()} {...props} />;
}

/** A button with a picture on it, named for those who cannot see that and, as a tip, for those who do not know it. */
export function IconButton({ icon, label, small, className = "", ...props }: Props & { icon: IconName; label: string; small?: boolean }): ReactNode {
  return (
    <button type="button" className={`icon-button ${small ? "small" : ""} ${className}`.trimEnd()} aria-label={label} title={label} {...props}>
      <Icon name={icon} small={small ?? false} />
    </button>
  );
}
