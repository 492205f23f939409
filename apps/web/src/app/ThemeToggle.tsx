import { useState } from "react";
import { applyTheme, keepTheme, readTheme, THEMES, type Theme } from "./theme";

const LABELS: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };
const ICONS: Record<Theme, string> = {
  system: "M4 5h16v11H4ZM9 20h6M12 16v4",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
};

/** Goes round: as the system says, light, dark. */
export function ThemeToggle() {
  const [theme, setTheme] = useState<Theme>(readTheme);

  function turn(): void {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
    setTheme(next);
    applyTheme(next);
    keepTheme(next);
  }

  const label = `Theme: ${LABELS[theme]}`;
  return (
    <button type="button" className="theme" aria-label={label} title={label} onClick={turn}>
      <svg className="fb-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
        <path d={ICONS[theme]} />
      </svg>
    </button>
  );
}
