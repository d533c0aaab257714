// The alias table of each served domain: RFC 5923, Section 5.

import {get} from "./api.js";
import {empty, h, link, query} from "./dom.js";
import {ago, date, hostPort} from "./format.js";
import {Filters} from "./filters.js";
import {Table} from "./table.js";
import {live} from "./view.js";

const columns = [
	{title: "Local domain", sort: "local_domain", width: "minmax(7rem, 1fr)", cell: (a) => a.local_domain},
	{title: "Destination", sort: "ip", width: "minmax(10rem, 1.2fr)", cell: (a) => `${a.transport}:${hostPort(a.ip, a.port)}`},
	{title: "Identities proved", width: "minmax(10rem, 2fr)", cell: (a) => a.identities.join(", ")},
	{title: "Connection", sort: "connection", width: "8rem", cell: (a) => h("span", null, link("/connections?id=" + a.connection, String(a.connection)), ", " + a.direction)},
	{title: "Made by", width: "minmax(6rem, 1fr)", cell: (a) => (a.made_by === "dial" ? "dial" : link("/calls" + query({call: a.made_by}), a.made_by))},
	{title: "Last used", sort: "last_used", width: "8rem", num: true, cell: (a) => ago(a.last_used)},
	{title: "Certificate ends", sort: "certificate_expiry", width: "9rem", num: true, cell: (a) => (a.certificate_expiry ? date(a.certificate_expiry) : "")},
];

export function show(main, params) {
	const filters = new Filters("aliases", [
		{name: "local_domain", title: "Local domain", hint: "example.com"}, {name: "identity", title: "Identity", hint: "example.net"},
		{name: "ip", title: "IP address", hint: "192.0.2.1"}, {name: "direction", title: "Direction", words: ["dialed", "accepted"]},
	], params, () => { table.clear(); feed.now(); });
	const table = new Table({
		label: "Alias rows", columns, key: (a) => `${a.local_domain} ${a.ip} ${a.port} ${a.connection}`,
		ask: ({offset, limit, sort}) => get("/v1/aliases" + query({...filters.values, offset, limit, sort})),
		empty: () => (Object.keys(filters.values).length
			? empty("No row has these values.", "Filters are for whole values: an identity is written as example.net.")
			: empty("There are no alias rows.", "A row is made when a TLS connection is dialed and its peer proves who it is, or when a peer offers an alias.")),
	});
	main.append(h("p", {class: "lead"}, "Which connection carries a request to an address: found by the address and by the identity that the peer has proved."), filters.el, table.el);
	table.onsort = () => feed.now();
	const feed = live(main, () => table.refresh());
	return {
		update: (p) => { if (filters.take(p)) { table.clear(); feed.now(); } return true; },
		leave: () => { feed.end(); table.end(); },
	};
}
