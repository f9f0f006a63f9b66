/* Grosz tag. Queue first: window.grosz = window.grosz || []; grosz.push({event: "page_view"}); see docs/events.md */
(function (w, d, n) {
  "use strict";
  var script = d.currentScript;
  if (!script || w.grosz && w.grosz.ready) return;
  var origin = new URL(script.src).origin;
  var shop = script.getAttribute("data-advertiser");
  var shared = {};
  var batch = [];
  var timer = 0;
  var consentSeen = !w.__tcfapi;
  var started = Date.now();
  var hidden = 0;

  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (!batch.length || !consentSeen) return;
    var body = JSON.stringify(Object.assign({ events: batch }, shared));
    var url = origin + "/e/" + encodeURIComponent(shop);
    batch = [];
    /* text/plain needs no preflight; keepalive outlives the page */
    fetch(url, { method: "POST", body: body, credentials: "include", keepalive: true, headers: { "Content-Type": "text/plain" } })
      .catch(function () {
        if (n.sendBeacon) n.sendBeacon(url, body);
      });
  }

  function add(row) {
    row.url = row.url || w.location.href;
    if (row.referrer === undefined) row.referrer = d.referrer;
    batch.push(row);
    if (batch.length > 19) flush();
    else if (!timer) timer = setTimeout(flush, 50);
  }

  function hash(text, done) {
    var bytes = new TextEncoder().encode(text.trim().toLowerCase());
    w.crypto.subtle.digest("SHA-256", bytes).then(function (sum) {
      done(Array.from(new Uint8Array(sum), function (b) { return ("0" + b.toString(16)).slice(-2); }).join(""));
    });
  }

  function push(row) {
    if (!row || typeof row !== "object") return;
    if (row.set) { Object.assign(shared, row.set); return; }
    row = Object.assign({}, row);
    var email = row.email;
    delete row.email;
    if (email && email.indexOf("@") > 0 && w.crypto && w.crypto.subtle) {
      hash(email, function (sum) { row.email_sha256 = sum; add(row); });
    } else add(row);
  }

  if (w.__tcfapi) w.__tcfapi("addEventListener", 2, function (data, ok) {
    if (!ok || data.eventStatus === "cmpuishown") return;
    shared.gdpr = data.gdprApplies === false ? 0 : 1;
    shared.consent = data.tcString || "";
    consentSeen = true;
    flush();
  });

  d.addEventListener("visibilitychange", function () {
    if (d.visibilityState === "hidden") {
      var seconds = Math.min(3600, Math.round((Date.now() - started) / 1000));
      if (seconds > 1) batch.push({ event: "heartbeat", seconds: seconds, url: w.location.href });
      hidden = 1;
      flush();
    } else if (hidden) {
      started = Date.now();
      hidden = 0;
    }
  });

  var queued = w.grosz || [];
  w.grosz = { push: function () { for (var i = 0; i < arguments.length; i++) push(arguments[i]); }, ready: 1 };
  for (var i = 0; i < queued.length; i++) push(queued[i]);
})(window, document, navigator);
