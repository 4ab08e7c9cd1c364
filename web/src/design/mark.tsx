import type { ReactNode } from "react";

/** The mark: a P that is a speech bubble, its stem the tail. */
export function Mark(): ReactNode {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path
        fill="currentColor"
        fillRule="evenodd"
        d="M5 15.5A11 11 0 0 1 16 4.5h.5a11 11 0 0 1 0 22H12l-4.9 3.2A1.4 1.4 0 0 1 5 28.5zM16.25 10.5a5 5 0 0 0-5 5v5h5a5 5 0 0 0 0-10z"
      />
    </svg>
  );
}
