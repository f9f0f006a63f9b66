// A file of customers becomes lines of hashes here; what was in it never leaves the browser.
"use strict";

(() => {
  const form = document.getElementById("customers");
  if (!form) return;
  const texts = form.dataset;
  const columns = JSON.parse(texts.columns);
  const status = form.querySelector("[role=status]");
  const list = form.querySelector(".faults");
  const MOST_FAULTS = 100;
  const BATCH = 2000;

  const sha256 = async (text) => {
    const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return [...new Uint8Array(sum)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const address = (text) => {
    const plain = text.trim().toLowerCase();
    return /^[^@\s]+@[^@\s]+$/.test(plain) ? sha256(plain) : null;
  };
  const number = (text) => {
    const plain = text.replace(/[\s().\-/]/g, "").replace(/^00/, "+");
    return /^\+[1-9]\d{6,14}$/.test(plain) ? sha256(plain) : null;
  };
  const hash = (text) => (/^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : null);
  const ownId = (text) => (text.length <= 100 ? `"${text.replaceAll('"', '""')}"` : null);
  // column: where its hash goes, how it is made, what is told of a value that is none
  const KINDS = {
    email: [0, address, texts.email],
    email_sha256: [0, hash, texts.hash],
    phone: [1, number, texts.phone],
    phone_sha256: [1, hash, texts.hash],
    customer_id: [2, ownId, texts.id],
  };

  const cellsOf = (line, separator) => {
    if (!line.includes('"')) return line.split(separator);
    const cells = [];
    let cell = "";
    let quoted = false;
    for (let at = 0; at < line.length; at += 1) {
      if (line[at] === '"' && quoted && line[at + 1] === '"') cell += line[(at += 1)];
      else if (line[at] === '"') quoted = !quoted;
      else if (line[at] === separator && !quoted) cells.push(cell), (cell = "");
      else cell += line[at];
    }
    return [...cells, cell];
  };

  const headerOf = (line) => {
    const separator = [",", ";", "\t"].reduce((best, one) => (line.split(one).length > line.split(best).length ? one : best));
    const plain = (name) => name.trim().toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
    const found = cellsOf(line, separator).map((name, at) => [at, columns[plain(name)]]).filter(([, column]) => column);
    if (!found.length || /@/.test(line)) throw new Error(texts.header);
    return { separator, found };
  };

  const hashedLine = async (line, header, tell) => {
    if (!line.trim()) return "";
    const cells = cellsOf(line, header.separator);
    const made = ["", "", ""];
    let isTold = false;
    for (const [at, column] of header.found) {
      const text = (cells[at] || "").trim();
      if (!text) continue;
      const [place, make, wrong] = KINDS[column];
      const value = await make(text);
      if (value === null) tell(wrong), (isTold = true);
      else made[place] = value;
    }
    if (!made.some(Boolean) && !isTold) tell(texts.nobody);
    return made.join(",");
  };

  // The file as lines of hashes, and its first faults by line.
  const hashed = async (file) => {
    const parts = ["email_sha256,phone_sha256,customer_id\n"];
    const faults = [];
    let header = null;
    let rest = "";
    let count = 0;
    const take = async (lines) => {
      if (!header && lines.length) {
        header = headerOf(lines[0]);
        count += 1;
        lines = lines.slice(1);
      }
      for (let at = 0; at < lines.length; at += BATCH) {
        const first = count + 1;
        const some = lines.slice(at, at + BATCH);
        const tell = (offset) => (message) => faults.length < MOST_FAULTS && faults.push([first + offset, message]);
        const rows = await Promise.all(some.map((line, offset) => hashedLine(line, header, tell(offset))));
        count += some.length;
        parts.push(`${rows.join("\n")}\n`);
        status.textContent = `${texts.hashing} ${count - 1}`;
      }
    };
    const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      const lines = `${rest}${value || ""}`.split(/\r\n|\n|\r(?!$)/);
      rest = done ? "" : lines.pop();
      await take(done && lines.at(-1) === "" ? lines.slice(0, -1) : lines);
      if (done) break;
    }
    if (!header) throw new Error(texts.header);
    faults.sort(([left], [right]) => left - right);
    return { body: parts.join(""), faults };
  };

  const ask = async (method, path, body, type) => {
    const headers = { "Content-Type": type, "X-CSRF-Token": texts.csrf };
    const answer = await fetch(path, { method, headers, body });
    const told = await answer.json();
    if (answer.ok) return told;
    const faults = (told.errors || []).map((one) => `${one.pointer} ${one.message}`).join("; ");
    throw new Error([told.detail, faults, told.hint].filter(Boolean).join(" · "));
  };

  const showFaults = (faults) => {
    const items = faults.map(([line, message]) => {
      const item = document.createElement("li");
      item.textContent = `${texts.line} ${line}: ${message}`;
      return item;
    });
    list.replaceChildren(...items);
  };

  const run = async (fields) => {
    const name = fields.get("name");
    const rule = `has list.${name}`;
    const advertiser = Number(texts.advertiser);
    const { body, faults } = await hashed(fields.get("file"));
    showFaults(faults);
    // The segment first: its visitors are members as soon as they hear of the list.
    if (fields.get("audience") && !JSON.parse(texts.rules).includes(rule)) {
      await ask("POST", "/v1/segments", JSON.stringify({ advertiser_id: advertiser, name, rule }), "application/json");
      texts.rules = JSON.stringify([...JSON.parse(texts.rules), rule]);
    }
    status.textContent = texts.sending;
    const path = `/v1/advertisers/${advertiser}/customer-lists/${name}?days=${fields.get("days")}`;
    const told = await ask(fields.get("mode"), path, body, "text/csv");
    const values = { ...told, rate: new Intl.NumberFormat(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 }).format(told.match_rate) };
    status.textContent = texts.done.replace(/\{(\w+)\}/g, (_, key) => values[key]);
    htmx.ajax("GET", location.pathname, { target: "#known-lists", select: "#known-lists", swap: "outerHTML" });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!window.crypto || !crypto.subtle) {
      status.textContent = texts.insecure;
      return;
    }
    const button = form.querySelector("button");
    button.disabled = true;
    showFaults([]);
    try {
      await run(new FormData(form));
    } catch (error) {
      status.textContent = `${texts.failed} ${error.message}`;
    }
    button.disabled = false;
  });
})();
