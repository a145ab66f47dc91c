// Asks for the page again and again while it is looked at, and puts the new numbers in the place of the old.
"use strict";

const SECONDS = 2;
const PATIENCE = 5;

async function refresh() {
  try {
    const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE * 1000) });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok || !fresh.querySelector("main")) throw new Error("no dashboard");
    for (const part of ["header", "main"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
    document.title = fresh.title;
    document.documentElement.classList.remove("stale");
  } catch {
    document.documentElement.classList.add("stale");
    document.querySelector("[data-live]").textContent = "no answer since";
  }
}

async function live() {
  for (;;) {
    await new Promise((done) => setTimeout(done, SECONDS * 1000));
    if (!document.hidden) await refresh();
  }
}

live();
