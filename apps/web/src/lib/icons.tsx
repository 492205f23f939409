import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="fb-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export function ThumbUp() {
  return (
    <Icon>
      <path d="M7 10.5V20H4.5A1.5 1.5 0 0 1 3 18.5V12a1.5 1.5 0 0 1 1.5-1.5H7Zm0 0 3.6-7a2.4 2.4 0 0 1 2.3 3L12 9.5h6.4a2 2 0 0 1 2 2.4l-1.2 6.4A2 2 0 0 1 17.2 20H7" />
    </Icon>
  );
}

export function ThumbDown() {
  return (
    <Icon>
      <g transform="rotate(180 12 12)">
        <path d="M7 10.5V20H4.5A1.5 1.5 0 0 1 3 18.5V12a1.5 1.5 0 0 1 1.5-1.5H7Zm0 0 3.6-7a2.4 2.4 0 0 1 2.3 3L12 9.5h6.4a2 2 0 0 1 2 2.4l-1.2 6.4A2 2 0 0 1 17.2 20H7" />
      </g>
    </Icon>
  );
}

export function Undo() {
  return (
    <Icon>
      <path d="M8 5 4 9l4 4M4 9h9.5a5.5 5.5 0 0 1 0 11H9" />
    </Icon>
  );
}

export function Sliders() {
  return (
    <Icon>
      <path d="M4 7h10M4 12h6M4 17h8M17 13.5v6M14 16.5h6" />
    </Icon>
  );
}

export function Send() {
  return (
    <Icon>
      <path d="M12 19V5M6 11l6-6 6 6" />
    </Icon>
  );
}

export function Stop() {
  return (
    <svg className="fb-icon fb-icon-full" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect x="7" y="7" width="10" height="10" rx="2" />
    </svg>
  );
}

export function Warning() {
  return (
    <Icon>
      <path d="M12 4 2.8 19.5h18.4L12 4Zm0 6v4.5m0 2.5v.01" />
    </Icon>
  );
}
