"use strict";

// One key decides on a group of boxes that never move; the server saves it before the page shows it.

const VERDICTS = { s: "stone", a: "animal", u: "" };
const cards = [...document.querySelectorAll(".stone")];
const saved = document.getElementById("saved");

function show(card) {
  for (const button of card.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === card.dataset.verdict));
  }
}

function focus(position) {
  cards[position]?.focus();
  cards[position]?.scrollIntoView({ block: "nearest" });
}

async function decide(card, verdict) {
  const item = { name: card.dataset.name, verdict: verdict || null };
  try {
    const response = await fetch("stones", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ items: [item] }),
    });
    const { error } = await response.json();
    if (error) throw new Error(error);
    card.dataset.verdict = verdict;
    show(card);
    saved.textContent = "All saved";
    saved.className = "";
    if (verdict) focus(cards.indexOf(card) + 1);
  } catch (error) {
    saved.textContent = `Not saved: ${error.message}`;
    saved.className = "problem";
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const card = event.target.closest(".stone");
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps) focus(card ? cards.indexOf(card) + steps[event.key] : 0);
  else if (card && event.key in VERDICTS) decide(card, VERDICTS[event.key]);
  else return;
  event.preventDefault();
});
for (const card of cards) {
  show(card);
  for (const button of card.querySelectorAll("button")) {
    button.addEventListener("click", () => decide(card, button.dataset.verdict));
  }
}
focus(0);
