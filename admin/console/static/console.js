// Comforts of the console; every page works without them.
"use strict";

// Pages tell times in the browser's time zone; until they know it, and without scripts, in UTC.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `grosz_timezone=${zone}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;

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

// What is to be put elsewhere is copied at a press; where the browser hands out no clipboard (plain http), by selecting it.
const offerCopy = () => {
  for (const piece of document.querySelectorAll("[data-copy]:not([data-offered])")) {
    piece.dataset.offered = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "secondary copy";
    button.textContent = piece.dataset.copy;
    button.addEventListener("click", async () => {
      if (navigator.clipboard) {
        await navigator.clipboard.writeText(piece.textContent);
      } else {
        window.getSelection().selectAllChildren(piece);
        document.execCommand("copy");
      }
      button.textContent = piece.dataset.copied;
    });
    piece.after(button);
  }
};
document.addEventListener("htmx:afterSettle", offerCopy);
offerCopy();

// A link to what stands in a closed part of the page opens it.
const openTarget = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const closed = target && target.closest("details");
  if (closed) closed.open = true;
};
window.addEventListener("hashchange", openTarget);
openTarget();

// A file beside an address: it is sent at once, and its address and size fill the form.
for (const file of document.querySelectorAll("input[data-kept-in]")) {
  const status = document.getElementById(file.dataset.saidIn);
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    status.textContent = file.dataset.wait;
    try {
      const headers = { "X-CSRF-Token": document.body.dataset.csrf };
      const answer = await fetch(file.dataset.to, { method: "POST", headers, body: file.files[0] });
      const told = await answer.json();
      status.textContent = told.fault || `${file.dataset.done} ${told.size}`;
      if (!told.url) return;
      document.getElementById(file.dataset.keptIn).value = told.url;
      document.getElementById(file.dataset.sizeIn).value = told.size;
    } catch {
      status.textContent = document.body.dataset.unsaved;
    }
  });
}

// Amounts are in the currency of the advertiser that is chosen, or is being made.
const advertiser = document.querySelector("select#advertiser_id:has([data-currency])");
if (advertiser) {
  const own = document.getElementById("currency");
  const show = () => {
    const currency = advertiser.selectedOptions[0].dataset.currency || (own && own.value) || "";
    for (const place of document.querySelectorAll("[data-in-currency]")) place.textContent = currency;
  };
  for (const one of [advertiser, own]) if (one) one.addEventListener("change", show);
}

// Lists that grow by themselves keep their newest rows.
document.addEventListener("htmx:afterSettle", () => {
  for (const rows of document.querySelectorAll("[data-keep]")) {
    while (rows.children.length > Number(rows.dataset.keep)) rows.lastElementChild.remove();
  }
});

// One tick for all rows of a list.
for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = [...all.closest("table").querySelectorAll(`tbody [name="${all.dataset.all}"]`)];
  const show = () => {
    all.checked = boxes.every((box) => box.checked);
    all.indeterminate = !all.checked && boxes.some((box) => box.checked);
  };
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
  boxes.forEach((box) => box.addEventListener("change", show));
  show();
}

// Every table with more than one row can be taken along as CSV. What a spreadsheet would take for a formula gets an apostrophe.
const csvCell = (cell) => {
  const input = cell.querySelector("input:not([type=hidden], [type=checkbox])");
  const text = (input ? input.value : cell.dataset.v || cell.innerText).trim();
  return `"${(/^[=+@\t\r]|^-(?![\d.,\s]*$)/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
};
const offerCsv = () => {
  for (const region of document.querySelectorAll(".table:not([data-csv])")) {
    const table = region.querySelector("table");
    if (!table || table.rows.length < 3 || table.querySelector("[data-keep]")) continue;
    region.dataset.csv = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link csv";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `CSV: ${region.getAttribute("aria-label")}`);
    button.addEventListener("click", () => {
      const lines = [...table.rows].map((row) => [...row.cells].map(csvCell).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
      link.download = `${region.getAttribute("aria-label")}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
    region.after(button);
  }
};
document.addEventListener("htmx:afterSettle", offerCsv);
offerCsv();

// Searches and reports that a person keeps under a name, in this browser.
for (const place of document.querySelectorAll("[data-saved]")) {
  const key = `grosz:${place.dataset.saved}`;
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(key) || "{}");
    } catch {
      return {};
    }
  };
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "link";
    made.textContent = text;
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const show = () => {
    const kept = read();
    const write = (change) => {
      change(kept);
      localStorage.setItem(key, JSON.stringify(kept));
      show();
    };
    const links = Object.entries(kept).map(([name, query]) => {
      const item = document.createElement("span");
      const link = document.createElement("a");
      link.href = location.pathname + query;
      link.textContent = name;
      item.append(link, button("×", `${place.dataset.forget}: ${name}`, () => write((all) => delete all[name])));
      return item;
    });
    const keep = button(place.dataset.save, "", () => {
      const name = window.prompt(place.dataset.ask);
      if (name) write((all) => (all[name.slice(0, 60)] = location.search));
    });
    place.replaceChildren(...links, ...(location.search ? [keep] : []));
  };
  show();
}
