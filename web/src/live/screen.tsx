import type { ReactNode } from "react";

/** What stands in the place of a video: a drawn evening, that moves a little. */
export function Screen({ title }: { title: string }): ReactNode {
  return (
    <div className="screen" role="img" aria-label={`${title || "Live"}: the video would be here`}>
      <div className="screen-picture">
        <svg viewBox="0 0 320 180" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
          <defs>
            <linearGradient id="screen-sky" x1="0" y1="0" x2="0" y2="1">
              <stop offset="0" className="sky-top" />
              <stop offset="0.62" className="sky-low" />
              <stop offset="1" className="sky-end" />
            </linearGradient>
            <radialGradient id="screen-sun" cx="0.5" cy="0.5" r="0.5">
              <stop offset="0" className="sun-in" />
              <stop offset="0.45" className="sun-mid" />
              <stop offset="1" className="sun-out" />
            </radialGradient>
          </defs>
          <rect width="320" height="180" fill="url(#screen-sky)" />
          <circle className="glow" cx="222" cy="106" r="86" fill="url(#screen-sun)" />
          <circle className="sun" cx="222" cy="106" r="19" />
          <path className="hill far" d="M0 128c30-18 58-22 92-8s60 2 92-12 66-8 136 14v58H0z" />
          <path className="hill mid" d="M0 146c44-20 84-12 124-4s74-6 104-12 62 0 92 10v40H0z" />
          <path className="hill near" d="M0 164c60-14 120-10 176-6s100-4 144-10v32H0z" />
        </svg>
        <span className="screen-play" aria-hidden="true"><svg viewBox="0 0 24 24"><path d="M8 5.500v13l11-6.500z" /></svg></span>
      </div>
    </div>
  );
}
