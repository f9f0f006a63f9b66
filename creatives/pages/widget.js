/* Grosz widget; see docs/recommendations.md */
((w, d) => {
	const script = d.currentScript, {advertiser, gdpr} = script.dataset, ask = w.__tcfapi, web = /^https?:/;
	let said = {gdpr}, may = gdpr === "0", store = {};
	try { store = localStorage; } catch {}

	function make(into, name, style, text) {
		const made = d.createElement(name);
		made.className = "grosz-" + name;
		made.style.cssText = style;
		made.textContent = text;
		into.append(made);
		return made;
	}

	function get(query) {
		const url = new URL("/r/" + advertiser, script.src);
		query = {...said, ...query};
		for (const name in query) if (query[name]) url.searchParams.set(name, query[name]);
		return fetch(url, {credentials: "include"}).then(answer => answer.json()).catch(() => 0);
	}

	const money = ({amount, currency}) =>
		new Intl.NumberFormat(d.documentElement.lang || [], {style: "currency", currency}).format(amount);

	function draw(box, products) {
		const list = make(box, "ul", "display:flex;gap:1em;height:100%;margin:0;padding:0;list-style:none;overflow:auto hidden");
		for (const one of products || []) {
			if (!web.test(one.link)) continue;
			const link = make(make(list, "li", "flex:0 0 10em"), "a", "");
			link.href = one.link;
			if (web.test(one.image)) make(link, "i", "display:block;aspect-ratio:1;background:center/contain no-repeat url(" + JSON.stringify(one.image));
			make(link, "div", "", one.title);
			make(link, "b", "", money(one.price));
			if (one.old_price) make(link, "s", "margin-left:.5em", money(one.old_price));
		}
	}

	function holds(condition, who) {
		const [name, value] = condition.split(":");
		return name === "segment" ? who?.segments.includes(+value)
			: name === "orders" ? who?.orders >= value
			: name === (who?.identified ? "" : "un") + "identified";
	}

	function pop(of) {
		const key = "_grosz_" + of.id, {days, close} = of.dataset;
		if (!may || Date.now() - (store[key] || 0) < (days || 7) * 864e5) return;
		const box = make(d.body, "dialog", "position:fixed;inset:auto 1em 1em auto;margin:0;z-index:99");
		const button = make(box, "button", "float:right", "×");
		button.ariaLabel = close || "Close";
		button.onclick = () => store[key] = Date.now(box.remove());
		box.append(of.content.cloneNode(true));
		box.show();
	}

	function run() {
		const own = may && store._grosz;
		said[own === "0" ? "npa" : "client"] = own === "0" || own;
		let who;
		for (const box of d.querySelectorAll("[data-grosz-box]")) {
			const {groszBox: context, n, strategy} = box.dataset, answer = get({context, n, strategy});
			who ||= answer;
			if (box.clientHeight) answer.then(found => draw(box, found.products));
			else console.warn("no height", box);
		}
		const rest = d.querySelectorAll("[data-grosz-if]");
		if (rest[0]) (who || get({n: "0"})).then(({visitor}) => rest.forEach(one => {
			if (!holds(one.dataset.groszIf, visitor)) return;
			if (one.content) pop(one);
			else one.append(one.querySelector("template").content.cloneNode(true));
		}));
	}

	if (!ask) return run();
	ask("addEventListener", 2, (data, ok) => {
		if (!ok || data.eventStatus === "cmpuishown" || said.consent != null) return;
		said = {gdpr: data.gdprApplies === false ? "0" : "1", consent: data.tcString || ""};
		may = said.gdpr === "0" || data.purpose?.consents[1];
		run();
	});
})(window, document);
