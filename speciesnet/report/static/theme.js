"use strict";

// Light or dark, as the system says until the reader says otherwise.
{
  const KEY = "speciesnet-theme";
  const root = document.documentElement;

  try {
    const theme = localStorage.getItem(KEY);
    if (theme) root.dataset.theme = theme;
  } catch {
    // some browsers keep nothing for pages from disk
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
        // it lasts for this page only
      }
      draw();
    });
    system.addEventListener("change", draw);
    draw();
  });
}
