// When certificates end: ours, the peers', and of whoever is connected.

import {get} from "./api.js";
import {empty, h, link, pill, query} from "./dom.js";
import {date, daysLeft, urgency} from "./format.js";
import {store} from "./store.js";
import {Table} from "./table.js";
import {live} from "./view.js";

const days = (at) => Math.floor((Date.parse(at) - Date.now()) / 86400000);

function meter(left) {
	const [kind] = urgency(left);
	return h("span", {class: "meter", role: "presentation"}, h("i", {class: kind, css: {width: `${Math.max(2, Math.min(100, left / 90 * 100))}%`}}));
}

const columns = [
	{title: "Whose", sort: "whose", width: "9rem", cell: (c) => c.whose},
	{title: "Name", sort: "name", width: "minmax(9rem, 1.5fr)", cell: (c) => (c.path ? link(c.path, c.name) : c.name)},
	{title: "What to do", sort: "left", width: "9rem", cell: (c) => pill(...urgency(c.left))},
	{title: "Days left", width: "8rem", num: true, cell: (c) => daysLeft(c.left)},
	{title: "Of the next 90", width: "minmax(6rem, 1fr)", cell: (c) => meter(c.left)},
	{title: "Ends", width: "9rem", num: true, cell: (c) => date(c.expiry)},
];

async function collect() {
	const [peers, connections] = await Promise.all([get("/v1/peers?limit=1000&sort=certificate_expiry"), get("/v1/connections?limit=200&sort=certificate_expiry")]);
	const list = [];
	for (const d of store.status?.domains ?? []) {
		if (d.certificate_expiry) list.push({whose: "ours", name: d.name, left: d.certificate_days_left, expiry: d.certificate_expiry, path: "/aliases" + query({local_domain: d.name})});
	}
	for (const p of peers.items) {
		if (p.certificate_expiry) list.push({whose: "peer's", name: p.name, left: p.certificate_days_left, expiry: p.certificate_expiry, path: "/connections" + query({peer: p.name})});
	}
	const others = new Map();
	for (const c of connections.items) {
		if (!c.peer && c.certificate_expiry) others.set(`${c.identities.join(", ")} ${c.certificate_expiry}`, c);
	}
	for (const c of others.values()) {
		list.push({whose: "connected", name: c.identities.join(", ") || c.source_address, left: days(c.certificate_expiry), expiry: c.certificate_expiry, path: "/connections" + query({id: c.id})});
	}
	return list;
}

export function show(main) {
	const table = new Table({
		label: "Certificates", columns, sort: "left", key: (c) => `${c.whose} ${c.name} ${c.expiry}`,
		async ask({offset, limit, sort}) {
			const list = await collect();
			const field = sort.replace("-", "");
			if (field) list.sort((a, b) => (field === "left" ? Date.parse(a.expiry) - Date.parse(b.expiry) : String(a[field]).localeCompare(String(b[field]))) * (sort[0] === "-" ? -1 : 1));
			return {items: list.slice(offset, offset + limit), total: list.length};
		},
		empty: () => empty("No certificate is known.", "No served domain has one, and nobody who showed one is connected."),
	});
	main.append(h("p", {class: "lead"}, "Those of the served domains, of the configured peers, and of whoever else is connected; the soonest end of each."), table.el);
	table.onsort = () => feed.now();
	const feed = live(main, () => table.refresh());
	const again = () => feed.now();
	store.addEventListener("status", again);
	return {leave: () => { store.removeEventListener("status", again); feed.end(); table.end(); }};
}
