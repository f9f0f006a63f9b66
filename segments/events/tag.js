/* Grosz tag; see docs/events.md */
((w, d) => {
	const script = d.currentScript;
	if (!script || w.grosz?.ready) return;
	const url = new URL("/e/" + encodeURIComponent(script.dataset.advertiser), script.src), shared = {};
	let batch = [], timer, ask = w.__tcfapi, waiting = !!ask, started = Date.now(), stored, out, flying = 0;

	/* the shop's own id; "0": opted out */
	function own(value) {
		try {
			const s = localStorage, k = "_grosz", may = stored || shared.gdpr === 0;
			if (value) s[k] = value;
			if (may || out || s[k] === "0") return s[k] || may && (s[k] = crypto.randomUUID());
		} catch {}
	}

	/* 64 KiB may outlive a page; text needs no preflight */
	function send(id, events) {
		const body = JSON.stringify({events, client_id: id, ...shared}), size = new Blob([body]).size;
		if (size > 3e4 && events[1]) return send(id, events.splice(0, events.length >> 1)), send(id, events);
		flying += size;
		fetch(url, {method: "POST", body, credentials: "include", keepalive: flying < 6e4})
			.catch(() => navigator.sendBeacon?.(url, body))
			.then(() => flying -= size);
	}

	function flush() {
		timer = clearTimeout(timer);
		if (!batch.length || waiting) return;
		const id = own(), events = batch;
		batch = [];
		if (id === "0") return;
		if (out) own("0");
		send(id, events);
	}

	/* what is kept of a long address */
	function short(text, most = 2048) {
		text += "";
		const kept = text[most] && text.match(/(utm_\w+|\w+clid)=[^&#]*/g);
		return (kept ? text.split(/[?#]/)[0].slice(0, 999) + "?" + kept.join("&") : text).slice(0, most);
	}

	function add(row) {
		out ||= row.event === "opt_out";
		row.url = short(row.url || location.href);
		row.referrer = short(row.referrer ?? d.referrer);
		if (row.search_term) row.search_term = short(row.search_term, 200);
		row.event_id ||= Date.now() + Math.random().toString(36).slice(1);
		batch.push(row);
		if (batch.length > 19) flush();
		else timer ||= setTimeout(flush, 50);
	}

	function push(given) {
		if (Object(given) !== given) return;
		if (given.set) return Object.assign(shared, given.set);
		const { email, ...row } = given, subtle = w.crypto?.subtle;
		if (!subtle || !/.@/.test(email)) return add(row);
		subtle.digest("SHA-256", new TextEncoder().encode(email.trim().toLowerCase())).then(sum => {
			row.email_sha256 = [...new Uint8Array(sum)].map(b => b.toString(16).padStart(2, 0)).join("");
			add(row);
		});
	}

	if (ask) ask("addEventListener", 2, (data, ok) => {
		if (!ok || data.eventStatus === "cmpuishown") return;
		shared.gdpr = +(data.gdprApplies !== false);
		shared.consent = data.tcString;
		stored = data.purpose?.consents[1];
		waiting = false;
		flush();
	});

	d.addEventListener("visibilitychange", () => {
		if (d.visibilityState === "hidden") {
			const seconds = Math.round((Date.now() - started) / 1000);
			if (seconds > 1) add({ event: "heartbeat", seconds });
			flush();
		}
		started = Date.now();
	});

	const queued = w.grosz || [];
	w.grosz = { push: (...rows) => rows.forEach(push), ready: 1 };
	queued.forEach(push);
})(window, document);
