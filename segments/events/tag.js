/* Grosz tag. Queue first: window.grosz = window.grosz || []; grosz.push({event: "page_view"}); see docs/events.md */
((w, d, n) => {
  "use strict";
  const script = d.currentScript;
  if (!script || w.grosz && w.grosz.ready) return;
  const url = new URL(script.src).origin + "/e/" + encodeURIComponent(script.dataset.advertiser);
  const shared = {};
  let batch = [], timer, ask = w.__tcfapi, waiting = !!ask, started = Date.now(), stored, out;

  /* this shop's own id, for browsers without third-party cookies, where storing is permitted; "0": opted out */
  function own(value) {
    try {
      const s = w.localStorage, k = "_grosz", may = stored || shared.gdpr === 0;
      if (value) s[k] = value;
      if (may || out || s[k] === "0") return s[k] || may && (s[k] = w.crypto.randomUUID());
    } catch (e) {}
  }

  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (!batch.length || waiting) return;
    const id = own(), body = JSON.stringify(Object.assign({ events: batch, client_id: id || "" }, shared));
    batch = [];
    if (id === "0") return;
    if (out) own("0");
    /* text/plain needs no preflight; keepalive outlives the page */
    fetch(url, { method: "POST", body, credentials: "include", keepalive: true, headers: { "Content-Type": "text/plain" } })
      .catch(() => n.sendBeacon && n.sendBeacon(url, body));
  }

  function add(row) {
    out = out || row.event === "opt_out";
    row.url = row.url || w.location.href;
    if (row.referrer === undefined) row.referrer = d.referrer;
    batch.push(row);
    if (batch.length > 19) flush();
    else timer = timer || setTimeout(flush, 50);
  }

  function push(row) {
    if (!row || typeof row !== "object") return;
    if (row.set) return Object.assign(shared, row.set);
    row = Object.assign({}, row);
    const email = row.email, subtle = w.crypto && w.crypto.subtle;
    delete row.email;
    if (!email || email.indexOf("@") < 1 || !subtle) return add(row);
    subtle.digest("SHA-256", new TextEncoder().encode(email.trim().toLowerCase())).then((sum) => {
      row.email_sha256 = Array.from(new Uint8Array(sum), (b) => ("0" + b.toString(16)).slice(-2)).join("");
      add(row);
    });
  }

  if (ask) ask("addEventListener", 2, (data, ok) => {
    if (!ok || data.eventStatus === "cmpuishown") return;
    shared.gdpr = data.gdprApplies === false ? 0 : 1;
    shared.consent = data.tcString || "";
    stored = data.purpose && data.purpose.consents[1];
    waiting = false;
    flush();
  });

  d.addEventListener("visibilitychange", () => {
    if (d.visibilityState === "hidden") {
      const seconds = Math.min(3600, Math.round((Date.now() - started) / 1000));
      if (seconds > 1) batch.push({ event: "heartbeat", seconds, url: w.location.href });
      flush();
    }
    started = Date.now();
  });

  const queued = w.grosz || [];
  w.grosz = { push: (...rows) => rows.forEach(push), ready: 1 };
  queued.forEach(push);
})(window, document, navigator);
