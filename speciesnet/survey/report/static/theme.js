"use strict";

// Light or dark: the system's setting until the reader chooses.
{
  const KEY = "speciesnet-theme";
  const root = document.documentElement;

  try {
    const theme = localStorage.getItem(KEY);
    if (theme) root.dataset.theme = theme;
  } catch {
    // some browsers store nothing for pages opened from disk
  }

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
    const draw = () => (button.textContent = isDark() ? "☀" : "☾");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(KEY, root.dataset.theme);
      } catch {
        // the choice then lasts for this page only
      }
      draw();
    });
    system.addEventListener("change", draw);
    draw();
  });
}
