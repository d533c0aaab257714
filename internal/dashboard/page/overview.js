// The overview: figures of the moment, charts, and why requests went where they did.

import {Chart} from "./chart.js";
import {empty, facts, h, link, setText} from "./dom.js";
import {ago, moment, number, plural, rate} from "./format.js";
import {store} from "./store.js";
import {decisions, reason} from "./words.js";

const per = (n, t) => n / t.seconds;
const sum = (list, name) => list.reduce((all, c) => all + (!name || c.name === name || c.decision === name ? c.count : 0), 0);
const ms = (v) => (v === undefined ? undefined : v * 1000);
const msText = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));

const charts = [
	{title: "Calls", unit: "per second", lowest: 1, format: rate, lines: [{label: "calls", color: 1, value: (t) => per(t.calls, t)}]},
	{title: "Messages received", unit: "per second", lowest: 1, format: rate, lines: [{label: "messages", color: 1, value: (t) => per(t.messages, t)}]},
	{title: "Time to forward", unit: "ms, median", lowest: 0.1, format: msText, lines: [
		{label: "median", color: 1, value: (t) => ms(t.forward?.p50_seconds)},
		{label: "99th percentile", color: 2, value: (t) => ms(t.forward?.p99_seconds)},
	]},
	{title: "Decisions", unit: "reuses per second", lowest: 1, format: rate, lines: [
		{label: "reuse", color: 1, value: (t) => per(sum(t.decisions, "reuse"), t)},
		{label: "dial", color: 2, value: (t) => per(sum(t.decisions, "dial"), t)},
		{label: "without TLS", color: 3, value: (t) => per(sum(t.decisions, "plain"), t)},
		{label: "refuse", color: 5, value: (t) => per(sum(t.decisions, "refuse"), t)},
	]},
	{title: "Responses upstream", unit: "2xx per second", lowest: 1, format: rate, lines: [
		{label: "2xx", color: 1, value: (t) => per(sum(t.responses, "2xx"), t)},
		{label: "3xx", color: 3, value: (t) => per(sum(t.responses, "3xx"), t)},
		{label: "4xx", color: 2, value: (t) => per(sum(t.responses, "4xx"), t)},
		{label: "5xx, 6xx", color: 5, value: (t) => per(sum(t.responses, "5xx") + sum(t.responses, "6xx"), t)},
	]},
	{title: "Transactions under way", unit: "now", lowest: 2, format: rate, lines: [{label: "transactions", color: 1, value: (t) => t.transactions}]},
];

function tile(title, to) {
	const value = h("span", {class: "tile-value"}, "–");
	const more = h("span", {class: "tile-more"});
	return {value, more, el: h("li", null, h("a", {class: "tile card", href: "#" + to}, h("span", {class: "tile-title"}, title), value, more))};
}

export function show(main) {
	const tiles = {
		connections: tile("Connections", "/connections"), rows: tile("Alias rows", "/aliases"),
		calls: tile("Calls per second", "/calls"), reuse: tile("Requests that reused", "/aliases"), transactions: tile("Transactions", "/calls?show=transactions"),
	};
	const warnings = h("div");
	const drawn = charts.map((c) => new Chart(c));
	const table = h("div", {class: "card"});
	const process = h("div", {class: "card"});
	main.append(warnings, h("ul", {class: "tiles"}, Object.values(tiles).map((t) => t.el)),
		h("div", {class: "charts"}, drawn.map((c) => c.el)),
		h("div", {class: "pair"}, table, process));

	function tick() {
		const t = store.last;
		drawn.forEach((c) => c.draw(store.ticks));
		if (!t) return;
		setText(tiles.connections.value, number(t.connections));
		setText(tiles.connections.more, t.dialing ? `${number(t.dialing)} being dialed` : "open now");
		setText(tiles.rows.value, number(t.alias_rows));
		setText(tiles.rows.more, "of all served domains");
		setText(tiles.calls.value, rate(per(t.calls, t)));
		setText(tiles.calls.more, `${rate(per(t.messages, t))} messages per second`);
		setText(tiles.transactions.value, number(t.transactions));
		setText(tiles.transactions.more, "under way");
		const tls = store.ticks.flatMap((x) => x.decisions).filter((d) => d.decision !== "plain");
		const all = sum(tls);
		setText(tiles.reuse.value, all ? `${(100 * sum(tls, "reuse") / all).toFixed(sum(tls, "reuse") === all ? 0 : 1)} %` : "–");
		setText(tiles.reuse.more, all ? `of ${number(all)} over TLS, in 5 min` : "nothing was sent over TLS");
		reasonsTable(table);
	}
	function status() {
		const st = store.status;
		if (!st) return;
		warnings.replaceChildren(...st.config.warnings.map((w) => h("p", {class: "note warn-note"}, h("strong", null, "Configuration: "), w)));
		process.replaceChildren(h("h2", null, "This process"), facts(
			["Version", st.version], ["State", st.state], ["Started", `${moment(st.started)} (${ago(st.started)})`],
			["Configuration", st.config.file || "built in"], ["In force since", `${moment(st.config.loaded)} (${ago(st.config.loaded)})`],
			["Served domains", st.domains.length ? st.domains.map((d, i) => [i ? ", " : "", link("/aliases?local_domain=" + encodeURIComponent(d.name), d.name)]).flat().map((x) => (x instanceof Node ? x : document.createTextNode(x))) : "none"]));
	}
	store.addEventListener("tick", tick);
	store.addEventListener("status", status);
	tick();
	reasonsTable(table);
	status();
	return {leave() {
		store.removeEventListener("tick", tick);
		store.removeEventListener("status", status);
		drawn.forEach((c) => c.end());
	}};
}

// reasonsTable counts the reasons of the decisions that are kept.
function reasonsTable(place) {
	const counts = new Map();
	for (const t of store.ticks) {
		for (const d of t.decisions) {
			const key = d.decision + " " + d.reason;
			counts.set(key, {...d, count: d.count + (counts.get(key)?.count ?? 0)});
		}
	}
	const list = [...counts.values()].sort((a, b) => b.count - a.count);
	const all = sum(list);
	const heading = h("h2", null, "Why requests went where they did");
	if (!list.length) {
		place.replaceChildren(heading, empty("No connection was looked for in the last 5 minutes.", "Place a call, or ask ", link("/explain", "explain"), "."));
		return;
	}
	place.replaceChildren(heading, h("p", {class: "muted"}, `${plural(all, "request")} in the last 5 minutes, by the reason of the decision`),
		h("ul", {class: "bars"}, list.map((d) => h("li", null,
			h("div", {class: "bar-head"}, h("code", null, d.reason), h("span", {class: "num"}, `${number(d.count)} · ${(100 * d.count / all).toFixed(1)} %`)),
			h("div", {class: "bar"}, h("i", {class: "d-" + d.decision, css: {width: `${Math.max(0.5, 100 * d.count / all)}%`}})),
			h("p", {class: "muted"}, `${decisions[d.decision] ?? d.decision}: ${reason(d.reason)}`)))));
}
