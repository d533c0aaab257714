// Who shares which connections with whom: the served domains on the left, everybody else on the right.

import {get} from "./api.js";
import {empty, facts, h, link, pill, query, s} from "./dom.js";
import {ago, daysLeft, moment, number, plural, urgency} from "./format.js";
import {store} from "./store.js";
import {live} from "./view.js";

const SHOWN = 60; // peers on the map; failing ones first
const kinds = {connected: "good", failing: "bad", idle: "", "not configured": "info"};
const order = {failing: 0, connected: 1, "not configured": 2, idle: 3};

// gather puts connections to the peers and served domains that they join.
function gather(domains, peers, connections) {
	const nodes = new Map(peers.map((p) => [p.name, {...p, key: "p " + p.name, edges: new Map()}]));
	const left = domains.map((d) => d.name);
	for (const c of connections) {
		let node = c.peer ? nodes.get(c.peer) : null;
		if (!node) {
			const name = c.identities[0] ?? c.source_address.replace(/:\d+$/, "");
			const key = "o " + name;
			node = nodes.get(key) ?? {key, name, status: "not configured", identities: c.identities, connections: 0, transactions: 0, edges: new Map()};
			nodes.set(key, node);
			node.connections++;
			node.transactions += c.transactions;
		}
		const domain = c.local_domain ?? "";
		if (!left.includes(domain)) left.push(domain);
		const edge = node.edges.get(domain) ?? {domain, count: 0, dialed: 0, accepted: 0, there: false, back: false, shared: false};
		const ours = c.direction === "dialed";
		const both = c.transport.startsWith("tls") && (ours ? c.reused_backwards : c.alias_rows > 0);
		edge.count++;
		edge[c.direction]++;
		edge.there ||= ours || both;
		edge.back ||= !ours || both;
		edge.shared ||= both;
		node.edges.set(domain, edge);
	}
	const all = [...nodes.values()].sort((a, b) => order[a.status] - order[b.status] || b.connections - a.connections || a.name.localeCompare(b.name));
	return {left, all};
}

const yes = (b) => (b ? "yes" : "not seen yet");

function card(n) {
	const edges = [...n.edges.values()];
	const to = n.status === "not configured" ? (n.identities[0] ? {identity: n.identities[0]} : {}) : {peer: n.name};
	const [kind, word] = urgency(n.certificate_days_left);
	return h("li", {class: "card peer " + (n.status === "failing" ? "failing" : ""), "data-key": n.key},
		h("div", {class: "box-head"}, h("h3", null, n.name), pill(kinds[n.status], n.status)),
		n.last_trouble ? h("div", {class: "note " + (n.status === "failing" ? "bad-note" : "quiet-note")},
			h("p", null, h("strong", null, n.status === "failing" ? "Cause: " : "Was the matter: "), n.last_trouble.cause),
			n.last_trouble.mend ? h("p", null, h("strong", null, "Mend: "), n.last_trouble.mend) : null,
			h("p", {class: "muted"}, [moment(n.last_trouble.at), n.last_trouble.address].filter(Boolean).join(", at "))) : null,
		facts(
			["Connections", n.connections ? h("span", null, link("/connections" + query(to), plural(n.connections, "connection")), ": " + edges.flatMap((e) => [e.dialed ? `${number(e.dialed)} dialed` : "", e.accepted ? `${number(e.accepted)} accepted` : ""]).filter(Boolean).join(", ")) : "none"],
			["It reuses ours", !n.connections ? null : n.status === "not configured" ? yes(edges.some((e) => e.dialed && e.shared)) : yes(n.reuses_ours)],
			["We reuse its", !n.connections ? null : n.status === "not configured" ? yes(edges.some((e) => e.accepted && e.shared)) : yes(n.we_reuse)],
			["Transactions", n.connections ? number(n.transactions) : null],
			["Certificate", n.certificate_days_left === undefined ? null : [pill(kind, word), " ", daysLeft(n.certificate_days_left) + " left"]],
			["Identities", n.identities], ["Addresses", n.addresses], ["Reference identity", n.reference_identity],
			["Last used", n.last_used && ago(n.last_used)], ["Aliases", n.alias === "decline" ? "declined" : null]));
}

// curve is a line from one side of the map to the other.
function curve(a, b, width) {
	const bend = width * 0.45;
	return `M${a.x} ${a.y}C${a.x + bend} ${a.y} ${b.x - bend} ${b.y} ${b.x} ${b.y}`;
}

function edges(map, svg, left, right) {
	const box = map.getBoundingClientRect();
	const area = svg.getBoundingClientRect();
	const end = (el, side) => {
		const r = el.getBoundingClientRect();
		return {x: (side === "right" ? r.right : r.left) - area.left, y: Math.min(r.top + r.height / 2, r.top + 28) - box.top};
	};
	svg.setAttribute("height", box.height);
	const parts = [s("defs", null, ["good", "one", "bad"].map((k) => s("marker", {id: "arrow-" + k, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse"}, s("path", {class: "arrow " + k, d: "M0 0 8 4 0 8z"}))))];
	const width = area.width;
	for (const [n, el] of right) {
		const b = end(el, "left");
		for (const e of n.edges.values()) {
			const a = end(left.get(e.domain), "right");
			const kind = e.shared ? "good" : "one";
			parts.push(s("path", {class: "edge " + kind, d: curve({x: a.x + 2, y: a.y}, {x: b.x - 2, y: b.y}, width), "stroke-width": Math.min(5, 1.5 + Math.log2(e.count)),
				"marker-end": e.there ? `url(#arrow-${kind})` : null, "marker-start": e.back ? `url(#arrow-${kind})` : null},
			s("title", null, `${e.domain || "no served domain"} and ${n.name}: ${plural(e.count, "connection")}`)));
		}
		if (n.status === "failing" && !n.edges.size && left.size) {
			const a = end([...left.values()][0], "right");
			parts.push(s("path", {class: "edge bad", d: curve({x: a.x + 2, y: a.y}, {x: b.x - 2, y: b.y}, width)}, s("title", null, `${n.name}: no connection`)),
				s("path", {class: "cross", d: `M${(a.x + b.x) / 2 - 5} ${(a.y + b.y) / 2 - 5}l10 10m0-10l-10 10`}));
		}
	}
	svg.replaceChildren(...parts);
}

export function show(main) {
	const legend = h("ul", {class: "legend", "aria-label": "Legend"},
		[["good", "shared: requests go both ways over the same connection"], ["one", "one way"], ["bad", "failing: no connection"]].map(([k, text]) =>
			h("li", null, s("svg", {width: 36, height: 12, "aria-hidden": "true"}, s("path", {class: "edge " + k, d: "M2 6h32", "stroke-width": 2.5})), text)));
	const leftList = h("ul", {class: "map-left", "aria-label": "Served domains"});
	const rightList = h("ul", {class: "map-right", "aria-label": "Peers"});
	const svg = s("svg", {class: "map-lines", "aria-hidden": "true"});
	const map = h("div", {class: "map"}, leftList, h("div", {class: "map-middle"}, svg), rightList);
	const none = h("div", {class: "card", hidden: true}, empty("There are no peers.", "None is configured, and nobody is connected."));
	const more = h("p", {class: "muted", hidden: true});
	main.append(h("p", {class: "lead"}, "Which connections the served domains share with whom. An arrow points where requests go."), legend, map, none, more);
	let left = new Map();
	let right = new Map();
	let before = "";
	const redraw = () => edges(map, svg, left, right);
	const sizes = new ResizeObserver(redraw);
	sizes.observe(map);

	async function ask() {
		const [peers, connections] = await Promise.all([get("/v1/peers?limit=1000"), get("/v1/connections?limit=500&sort=-last_used")]);
		const {left: names, all} = gather(store.status?.domains ?? [], peers.items, connections.items.filter((c) => c.state !== "closed"));
		const shown = all.slice(0, SHOWN);
		none.hidden = all.length > 0;
		map.hidden = legend.hidden = all.length === 0;
		more.hidden = all.length <= SHOWN && connections.total <= connections.items.length;
		more.textContent = `${number(Math.min(SHOWN, all.length))} of ${number(all.length)} are shown, the failing ones first, with the ${number(connections.items.length)} connections used last of ${number(connections.total)}.`;
		const now = JSON.stringify([names, shown.map((n) => [n, [...n.edges.values()], n.last_used && ago(n.last_used)])]);
		if (now === before) return;
		before = now;
		const used = names.filter((n) => n || shown.some((x) => x.edges.has(n)));
		left = new Map(used.map((n) => [n, h("li", {class: "card domain"}, h("h3", null, n || "no served domain"),
			n ? h("p", {class: "muted"}, plural((store.status?.domains ?? []).find((d) => d.name === n)?.alias_rows ?? 0, "alias row")) : h("p", {class: "muted"}, "without TLS"))]));
		const focused = rightList.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
		right = new Map(shown.map((n) => [n, card(n)]));
		leftList.replaceChildren(...left.values());
		rightList.replaceChildren(...right.values());
		if (focused) [...rightList.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
		redraw();
	}
	const feed = live(main, ask);
	const again = () => feed.now();
	store.addEventListener("status", again);
	return {leave: () => { store.removeEventListener("status", again); feed.end(); sizes.disconnect(); }};
}
