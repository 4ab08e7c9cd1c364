// Light, dark, or as the system has it: chosen by whoever uses this browser.

/** What can be chosen. */
export type Theme = "system" | "light" | "dark";

const key = "parley.theme";

/** What was chosen. */
export function chosenTheme(): Theme {
  const kept = localStorage.getItem(key);
  return kept === "light" || kept === "dark" ? kept : "system";
}

/** Chooses, and shows it. */
export function chooseTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(key);
  else localStorage.setItem(key, theme);
  showTheme();
}

/** Shows what was chosen. */
export function showTheme(): void {
  const theme = chosenTheme();
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
