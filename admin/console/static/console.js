// Comforts of the console; every page works without them.
"use strict";

// A sign of life while the server works, and no second sending.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const ask = event.submitter && event.submitter.dataset.ask;
  if (ask && !window.confirm(ask)) {
    event.preventDefault();
    return;
  }
  const status = form.querySelector("[role=status]");
  if (form.dataset.wait && status) status.textContent = form.dataset.wait;
});

// A part of the page that did not come, or a value that was not saved, says so at its place.
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const form = event.target.closest("form");
    const place = (form && form.querySelector("small[role=alert], [role=status]")) || document.createElement("small");
    place.textContent = document.body.dataset.unsaved;
    if (!place.isConnected) {
      place.setAttribute("role", "alert");
      (form || event.target).append(place);
    }
    const input = form && form.matches(".cell") && form.querySelector("input:not([type=hidden])");
    if (input) input.setAttribute("aria-invalid", "true");
  });
}

// Keys: "/" searches, "j" and "k" walk the rows of a list, "e" edits the row, "n" makes a new object, "?" tells the keys.
const typing = (target) => target.matches("input, textarea, select, [contenteditable]");
document.addEventListener("keydown", (event) => {
  if (typing(event.target) || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...document.querySelectorAll("tbody tr td a:first-of-type")].filter((link) => !link.closest("small"));
  const at = links.indexOf(document.activeElement);
  const keys = {
    "/": () => document.querySelector("[data-key='/']"),
    j: () => links[Math.min(at + 1, links.length - 1)],
    k: () => links[Math.max(at - 1, 0)],
    e: () => at >= 0 && links[at].closest("tr").querySelector(".cell input:not([type=hidden])"),
  };
  if (event.key === "?") {
    event.preventDefault();
    document.getElementById("keys").showModal();
    return;
  }
  if (event.key === "n") {
    const link = document.querySelector("[data-key='n']");
    if (link) link.click();
    return;
  }
  const wanted = keys[event.key] && keys[event.key]();
  if (!wanted) return;
  event.preventDefault();
  wanted.focus();
});
