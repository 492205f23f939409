export type Theme = "system" | "light" | "dark";

const KEY = "feedback.theme";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function readTheme(): Theme {
  try {
    const found = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === found) ?? "system";
  } catch {
    return "system";
  }
}

/** All colours follow `color-scheme`; without our word it is what the system says. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

export function keepTheme(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It lasts as long as the page.
  }
}
