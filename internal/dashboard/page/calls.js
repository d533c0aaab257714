// Recent calls and other transactions, the ladder of each, and a search among them.

import {Refusal, get} from "./api.js";
import {empty, h, link, pill, query} from "./dom.js";
import {number, seconds, time} from "./format.js";
import {Filters} from "./filters.js";
import {Ladder} from "./ladder.js";
import {Table} from "./table.js";
import {live} from "./view.js";

const statusKind = (n) => (!n ? "" : n < 200 ? "info" : n < 300 ? "good" : n < 400 ? "warn" : "bad");

const callColumns = [
	{title: "Latest", sort: "latest", width: "6.5rem", cell: (c) => time(c.latest)},
	{title: "Method", sort: "method", width: "7rem", cell: (c) => c.method},
	{title: "Result", sort: "status", width: "minmax(7rem, 1fr)", cell: (c) => (c.status ? pill(statusKind(c.status), `${c.status} ${c.reason ?? ""}`) : pill("", "none yet"))},
	{title: "From", width: "minmax(9rem, 1.3fr)", cell: (c) => c.from ?? ""},
	{title: "To", width: "minmax(9rem, 1.3fr)", cell: (c) => c.to ?? ""},
	{title: "Connections", width: "7.5rem", cell: (c) => c.connections.join(", ") || "UDP only"},
	{title: "Messages", sort: "messages", width: "6.5rem", num: true, cell: (c) => number(c.messages)},
	{title: "Call-ID", sort: "call_id", width: "minmax(8rem, 1.2fr)", cell: (c) => h("button", {type: "button", class: "open", "data-call": c.call_id}, c.call_id)},
];

const aliveColumns = [
	{title: "Method", sort: "method", width: "7rem", cell: (t) => t.method},
	{title: "Kind", sort: "kind", width: "minmax(9rem, 1fr)", cell: (t) => t.kind},
	{title: "State", sort: "state", width: "8rem", cell: (t) => pill(t.state === "completed" || t.state === "terminated" ? "" : "info", t.state + (t.canceled ? ", canceled" : ""))},
	{title: "Peer", sort: "peer", width: "minmax(8rem, 1fr)", cell: (t) => t.peer ?? ""},
	{title: "Connection", sort: "connection", width: "7rem", cell: (t) => (t.connection ? link("/connections?id=" + t.connection, String(t.connection)) : "UDP")},
	{title: "Next timer", sort: "fires_in_seconds", width: "8rem", num: true, cell: (t) => (t.timer ? `${t.timer} in ${seconds(Math.round(t.fires_in_seconds))}` : "")},
	{title: "Call-ID", sort: "call_id", width: "minmax(8rem, 1.2fr)", cell: (t) => (t.call_id ? h("button", {type: "button", class: "open", "data-call": t.call_id}, t.call_id) : "")},
	{title: "Branch", sort: "branch", width: "minmax(8rem, 1fr)", cell: (t) => t.branch},
];

// user is what stands before the @ of a SIP URI, or the text itself.
const user = (text) => text.replace(/^sips?:/i, "").replace(/@.*$/s, "");

// found asks for the calls whose Call-ID, user or peer is what is looked for, and puts the answers together.
async function found(q, page) {
	if (!q) return get("/v1/calls" + query(page));
	const asked = [["call_id", q], ["user", user(q)], ["peer", q]].map(([name, value]) => get("/v1/calls" + query({limit: 1000, sort: page.sort, [name]: value})));
	const lists = await Promise.all(asked);
	const all = new Map(lists.flatMap((l) => l.items).map((c) => [c.call_id, c]));
	const items = [...all.values()];
	if (!page.sort) items.sort((a, b) => b.latest.localeCompare(a.latest));
	return {items: items.slice(page.offset, page.offset + page.limit), total: items.length};
}

export function show(main, params) {
	let alive = params.get("show") === "transactions";
	const filters = new Filters("calls", [
		{name: "q", title: "Call-ID, user or peer", hint: "alice, example.net, 192.0.2.1"},
		{name: "connection", title: "Connection", hint: "12"},
		{name: "show", title: "Show", words: ["transactions"]},
	], params, changed);
	filters.el.elements.show.options[0].text = "calls with their messages";
	filters.el.elements.show.options[1].text = "transactions under way";
	const ladder = new Ladder(() => open(""));
	const place = h("div");
	main.append(filters.el, ladder.el, place);
	let table = null;
	let feed = null;

	function build() {
		feed?.end();
		table?.end();
		table = new Table(alive ? {
			label: "Transactions under way", columns: aliveColumns, key: (t) => `${t.kind} ${t.branch} ${t.method}`,
			ask: (page) => get("/v1/transactions" + query({...page, connection: filters.values.connection, call_id: filters.values.q})),
			empty: () => empty("No transaction is under way.", "What has had its final response stays for some seconds, to absorb what comes again."),
		} : {
			label: "Calls", columns: callColumns, key: (c) => c.call_id,
			ask: (page) => found(filters.values.q, {...page, connection: filters.values.connection}).catch((err) => {
				if (err instanceof Refusal && err.status === 404) return {items: [], total: 0};
				throw err;
			}),
			empty: () => (filters.values.q ? empty("Nothing is kept of that.", "The search is for a whole Call-ID, the user part of a URI, a peer's name, an identity, or an IP address, among recent calls.")
				: empty("No message is kept yet.", "Recent messages are kept in memory while there is an admin API, unless trace.memory is 0.")),
		});
		place.replaceChildren(table.el);
		table.onsort = () => feed.now();
		feed = live(place, () => Promise.all([table.refresh(), ladder.refresh()]));
	}
	function changed() {
		const now = filters.values.show === "transactions";
		if (now !== alive) {
			alive = now;
			build();
			return;
		}
		table.clear();
		feed.now();
	}
	function open(call) {
		history.replaceState(null, "", "#/calls" + query({...filters.values, call}));
		ladder.show(call);
	}
	place.addEventListener("click", (e) => {
		const call = e.target.closest("button.open")?.dataset.call;
		if (call) open(call);
	});
	build();
	ladder.show(params.get("call") ?? "");
	return {
		update: (p) => {
			if (filters.take(p)) changed();
			ladder.show(p.get("call") ?? "");
			return true;
		},
		leave: () => { feed.end(); table.end(); ladder.end(); },
	};
}

