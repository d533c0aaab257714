// The ladder of one Call-ID: each message an arrow, with the connection that it took and the reason.

import {get} from "./api.js";
import {empty, facts, h, pill, put, query, s} from "./dom.js";
import {plural, seconds, time} from "./format.js";
import {drawWay} from "./explain.js";

const STEP = 46; // px between arrows
const HEAD = 54;

// ends says who is at the far ends, in the order in which they come in, and puts this proxy behind the first.
function ends(messages) {
	const list = [];
	for (const m of messages) {
		const name = m.peer || m.identities[0] || m.remote_address.replace(/:\d+$/, "");
		const key = `${name} ${m.transport === "udp" ? m.remote_address : m.transport}`;
		if (!list.some((e) => e.key === key)) list.push({key, name, address: m.transport === "udp" || m.connection === undefined ? `${m.transport} ${m.remote_address}` : `${m.transport} ${m.remote_address.replace(/:\d+$/, "")}`});
		m.end = key;
	}
	list.splice(1, 0, {key: "", name: "this proxy", address: ""});
	return list;
}

// what is a message in a few words.
const what = (m) => (m.status ? `${m.status} ${m.reason ?? ""}`.trim() : m.method || "unreadable");

// over is what carried a message, and why.
function over(m) {
	const parts = [m.connection ? `connection ${m.connection}` : m.transport];
	if (m.decision) parts.push(m.decision.reason);
	return parts.join(" · ");
}

const cut = (text, most) => (text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text);

export class Ladder {
	#call = "";
	#close;
	#trace = null;
	#width = 0;
	#chosen = 0;
	#gone = false; // the proxy keeps it no longer

	constructor(close) {
		this.#close = close;
		this.title = h("h2", {tabindex: "-1"});
		this.sub = h("p", {class: "muted"});
		this.svg = s("svg", {class: "ladder", role: "group", "aria-label": "Messages"});
		this.view = h("div", {class: "scroll"}, this.svg);
		this.detail = h("div", {class: "message"});
		this.note = h("div");
		this.el = h("section", {class: "card", hidden: true, "aria-label": "Ladder"},
			h("div", {class: "box-head"}, this.title, h("button", {type: "button", class: "quiet", "aria-label": "Close the ladder", onclick: () => close()}, "✕")),
			this.sub, this.note, this.view, this.detail);
		this.sizes = new ResizeObserver(([e]) => {
			if (Math.abs(e.contentRect.width - this.#width) < 1) return;
			this.#width = e.contentRect.width;
			this.#draw();
		});
		this.sizes.observe(this.view);
	}

	end() { this.sizes.disconnect(); }

	// show shows another Call-ID; "" is none.
	show(call) {
		if (call === this.#call) return;
		this.#call = call;
		this.#trace = null;
		this.#chosen = 0;
		this.#gone = false;
		this.note.replaceChildren();
		this.el.hidden = !call;
		this.svg.replaceChildren();
		this.detail.replaceChildren();
		this.sub.textContent = "";
		this.title.textContent = call;
		if (!call) return;
		this.refresh().then(() => this.title.focus(), () => { /* the next tick tries again */ });
	}

	// refresh asks whether there is more. What was read stays when the proxy has let go of it.
	async refresh() {
		const call = this.#call;
		if (!call || this.#gone) return;
		try {
			if (this.#trace) {
				const now = await get("/v1/trace" + query({call_id: call}));
				const last = this.#trace.messages.at(-1).number;
				if (call !== this.#call || now.messages.at(-1).number === last) return;
			}
			const trace = await get("/v1/trace" + query({call_id: call, raw: "true"}));
			if (call !== this.#call) return;
			this.note.replaceChildren();
			this.#trace = trace;
			this.#draw();
		} catch (err) {
			if (call !== this.#call) return;
			if (err.status !== 404) throw err;
			this.#gone = true;
			this.note.replaceChildren(this.#trace ? h("p", {class: "note quiet-note"}, "The proxy keeps it no longer. This is what was read before.")
				: empty("There is no ladder of this Call-ID.", err.message));
		}
	}

	#draw() {
		const messages = this.#trace?.messages ?? [];
		if (!messages.length || !this.#width) return;
		const columns = ends(messages);
		const begun = Date.parse(messages[0].time);
		const width = Math.max(this.#width, 150 * columns.length * 0.72);
		const gap = width / columns.length;
		const x = new Map(columns.map((c, i) => [c.key, gap * (i + 0.5)]));
		const height = HEAD + messages.length * STEP + 12;
		const letters = Math.floor(gap / 7.4);
		this.sub.textContent = `${plural(messages.length, "message")} from ${time(messages[0].time)} to ${time(messages.at(-1).time)}. Choose an arrow to read it.`;
		const parts = [s("defs", null, s("marker", {id: "tip", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto"}, s("path", {class: "tip", d: "M0 0 8 4 0 8z"})))];
		for (const c of columns) {
			parts.push(s("line", {class: "life" + (c.key ? "" : " own"), x1: x.get(c.key), x2: x.get(c.key), y1: HEAD - 12, y2: height}),
				s("text", {class: "who", x: x.get(c.key), y: 16, "text-anchor": "middle"}, s("title", null, c.name), cut(c.name, letters)),
				s("text", {class: "who-more", x: x.get(c.key), y: 33, "text-anchor": "middle"}, s("title", null, c.address), cut(c.address, letters)));
		}
		messages.forEach((m, i) => parts.push(this.#arrow(m, i, x, begun, gap)));
		this.svg.setAttribute("width", width);
		this.svg.setAttribute("height", height);
		const focused = this.svg.contains(document.activeElement) ? document.activeElement.dataset.n : null;
		this.svg.replaceChildren(...parts);
		if (focused) this.svg.querySelector(`[data-n="${focused}"]`)?.focus();
	}

	#arrow(m, i, x, begun, gap) {
		const y = HEAD + i * STEP + 26;
		const [far, own] = [x.get(m.end), x.get("")];
		const [from, to] = m.direction === "sent" ? [own, far] : [far, own];
		const middle = (from + to) / 2;
		const letters = Math.floor(Math.abs(from - to) / 6.6);
		const after = seconds((Date.parse(m.time) - begun) / 1000);
		const label = `${what(m)}, ${m.direction}, ${over(m)}, after ${after}`;
		const kind = m.problem || m.status >= 400 ? "bad" : m.status >= 200 ? "good" : m.status ? "info" : "request";
		const g = s("g", {class: `arrow-row ${kind}${this.#chosen === m.number ? " chosen" : ""}`, tabindex: "0", role: "button", "aria-label": label, "data-n": m.number},
			s("title", null, label),
			s("rect", {class: "hit", x: Math.min(from, to) - gap * 0.1, y: y - 22, width: Math.abs(from - to) + gap * 0.2, height: STEP - 4, rx: 6}),
			s("text", {class: "what", x: middle, y: y - 7, "text-anchor": "middle"}, cut(what(m).length + after.length + 2 > letters ? what(m) : `${what(m)} +${after}`, letters)),
			s("line", {x1: from, x2: to + (from < to ? -1 : 1), y1: y, y2: y, "marker-end": "url(#tip)"}),
			s("text", {class: "over", x: middle, y: y + 14, "text-anchor": "middle"}, cut(over(m), letters)));
		g.addEventListener("click", () => this.#choose(m));
		g.addEventListener("keydown", (e) => {
			if (e.key === "Enter" || e.key === " ") { e.preventDefault(); this.#choose(m); }
		});
		return g;
	}

	// choose shows one message whole.
	#choose(m) {
		this.#chosen = m.number;
		for (const g of this.svg.querySelectorAll(".arrow-row")) g.classList.toggle("chosen", g.dataset.n === String(m.number));
		const text = m.raw ? new TextDecoder().decode(Uint8Array.from(atob(m.raw), (c) => c.charCodeAt(0))) : "Its bytes are not kept.";
		put(this.detail, h("h3", null, `${what(m)} `, pill(m.direction === "sent" ? "info" : "", m.direction)),
			facts(["At", `${time(m.time)}.${String(new Date(m.time).getMilliseconds()).padStart(3, "0")}`], ["Over", over(m)], ["Our end", m.local_address], ["Far end", m.remote_address], ["Peer", m.peer],
				["Identities proved", m.identities], ["Local domain", m.local_domain], ["CSeq", `${m.cseq} ${m.method}`], ["Branch", m.branch], ["Problem", m.problem]),
			m.decision ? h("ul", {class: "ways"}, drawWay(m.decision)) : null,
			h("pre", {tabindex: "0", role: "region", "aria-label": "The message"}, text));
	}
}
