// The connections, and what can be done to one.

import {get, getTagged, post} from "./api.js";
import {empty, facts, h, link, pill, query} from "./dom.js";
import {ago, bytes, moment, number, plural, seconds} from "./format.js";
import {Filters} from "./filters.js";
import {Table} from "./table.js";
import {live} from "./view.js";

const kinds = {open: "good", draining: "warn", closing: "warn", closed: "bad"};

const columns = [
	{title: "Id", sort: "id", width: "6rem", cell: (c) => h("button", {type: "button", class: "open", "aria-label": `Connection ${c.id}: details`, "data-id": c.id}, String(c.id))},
	{title: "State", width: "6.5rem", cell: (c) => pill(kinds[c.state] ?? "", c.state)},
	{title: "Kind", sort: "transport", width: "8rem", cell: (c) => `${c.transport}, ${c.direction}`},
	{title: "Peer", sort: "peer", width: "minmax(9rem, 1.6fr)", cell: (c) => c.peer || c.identities.join(", ") || "nobody authenticated"},
	{title: "Far end", sort: "source_address", width: "minmax(10rem, 1.2fr)", cell: (c) => c.source_address},
	{title: "Local domain", sort: "local_domain", width: "minmax(7rem, 1fr)", cell: (c) => c.local_domain ?? ""},
	{title: "Transactions", sort: "transactions", width: "7.5rem", num: true, cell: (c) => number(c.transactions)},
	{title: "In", sort: "bytes_in", width: "6rem", num: true, cell: (c) => bytes(c.bytes_in)},
	{title: "Out", sort: "bytes_out", width: "6rem", num: true, cell: (c) => bytes(c.bytes_out)},
	{title: "Last used", sort: "last_used", width: "7rem", num: true, cell: (c) => ago(c.last_used)},
];

export function show(main, params) {
	const filters = new Filters("connections", [
		{name: "id", title: "Id", hint: "12"}, {name: "peer", title: "Peer", hint: "as configured"}, {name: "identity", title: "Identity", hint: "example.net"},
		{name: "state", title: "State", words: Object.keys(kinds)}, {name: "direction", title: "Direction", words: ["dialed", "accepted"]},
		{name: "transport", title: "Transport", words: ["tls", "tcp", "tls-sctp", "sctp"]},
	], params, () => { table.clear(); feed.now(); });
	const table = new Table({
		label: "Connections", columns, key: (c) => String(c.id),
		ask: ({offset, limit, sort}) => get("/v1/connections" + query({...filters.values, offset, limit, sort})),
		empty: () => (Object.keys(filters.values).length
			? empty("No connection has these values.", "Filters are for whole values.")
			: empty("No connection is open.", "UDP has none; over TCP and TLS the first request to a peer dials.")),
	});
	table.el.addEventListener("click", (e) => {
		const id = e.target.closest("button.open")?.dataset.id;
		if (id) detail(id, () => feed.now());
	});
	main.append(filters.el, table.el);
	table.onsort = () => feed.now();
	const feed = live(main, () => table.refresh());
	return {
		update: (p) => { if (filters.take(p)) { table.clear(); feed.now(); } return true; },
		leave: () => { feed.end(); table.end(); document.querySelector("dialog.detail")?.close(); },
	};
}

const actions = {
	drain: ["Drain", (c) => `No new transactions begin on connection ${c.id}. It is closed when ${c.transactions ? `its ${plural(c.transactions, "transaction")} have ended` : "none is under way, which is so now"}.`],
	close: ["Close", (c) => `Connection ${c.id} is closed now.${c.transactions ? ` Its ${plural(c.transactions, "transaction")} get no answer over it.` : " No transaction is under way on it."}`],
	forget: ["Forget", (c) => `No request finds connection ${c.id} any more, and the next one to that address dials. What the peer sends over it is still taken.`],
};

// detail shows one connection in a dialog, with what can be done to it.
async function detail(id, changed) {
	const box = h("dialog", {class: "box detail", "aria-label": `Connection ${id}`});
	box.addEventListener("close", () => box.remove());
	const close = () => box.close();
	const note = h("p", {class: "note", role: "status", hidden: true});
	const say = (text, kind) => { note.textContent = text; note.className = `note ${kind}-note`; note.hidden = false; };
	const body = h("div");
	const sure = h("div", {class: "sure", hidden: true});
	box.append(h("div", {class: "box-head"}, h("h2", null, `Connection ${id}`), h("button", {type: "button", class: "quiet", "aria-label": "Close this window", onclick: close}, "✕")), body, note, sure);
	document.body.append(box);
	box.showModal();
	let etag = "";

	async function load() {
		try {
			const got = await getTagged("/v1/connections/" + encodeURIComponent(id));
			etag = got.etag;
			draw(got.value);
			return got.value;
		} catch (err) {
			if (err.status === 404) body.replaceChildren(h("p", {class: "muted"}, "This connection is gone."));
			else say(err.message, "bad");
			return null;
		}
	}
	function draw(c) {
		body.replaceChildren(facts(
			["State", pill(kinds[c.state] ?? "", c.state)], ["Kind", `${c.transport}, ${c.direction}`], ["Peer", c.peer], ["Identities proved", c.identities.length ? c.identities : "none"],
			["Reference identity", c.reference_identity], ["Local domain", c.local_domain], ["Our end", c.local_address], ["Far end", c.source_address],
			["Dialed to", c.resolved_address], ["TLS", [c.tls_version, c.cipher_suite, c.resumed ? "resumed" : ""].filter(Boolean)],
			["Opened", `${moment(c.opened)} (${ago(c.opened)})`], ["Handshake took", seconds(c.handshake_seconds)], ["Last used", ago(c.last_used)],
			["Certificate ends", c.certificate_expiry && moment(c.certificate_expiry)], ["Received", bytes(c.bytes_in)], ["Sent", bytes(c.bytes_out)], ["Waiting to be written", bytes(c.queued_bytes)],
			["Transactions", number(c.transactions)], ["Alias rows", number(c.alias_rows)], ["Peer reuses it backwards", c.direction === "dialed" ? (c.reused_backwards ? "yes" : "not seen yet") : null],
			["Calls", link("/calls" + query({connection: c.id}), "those that went over it")]),
		h("div", {class: "buttons"}, Object.entries(actions).map(([verb, [title, text]]) => h("button", {type: "button", "data-verb": verb, onclick: () => ask(c, verb, title, text(c))}, title))));
		body.querySelector("a")?.addEventListener("click", close);
	}
	function ask(c, verb, title, text) {
		const yes = h("button", {type: "button", class: "danger", "data-sure": verb}, `${title} connection ${c.id}`);
		const no = h("button", {type: "button", onclick: () => { sure.hidden = true; body.querySelector(`[data-verb=${verb}]`)?.focus(); }}, "Leave it");
		yes.addEventListener("click", async () => {
			sure.hidden = true;
			try {
				const done = await post(`/v1/connections/${encodeURIComponent(id)}/${verb}`, etag);
				say(done.result + ".", "good");
			} catch (err) {
				say(err.status === 412 ? "It has changed since you looked, and nothing was done. This is how it is now." : err.message, "bad");
			}
			box.querySelector(".quiet").focus();
			changed();
			// What was begun takes a moment.
			for (let i = 0; i < 5 && box.open && (await load()); i++) await new Promise((done) => setTimeout(done, 1000));
		});
		sure.replaceChildren(h("p", null, text), h("div", {class: "buttons"}, yes, no));
		sure.hidden = false;
		yes.focus();
		sure.scrollIntoView({block: "nearest"});
	}
	await load();
}
