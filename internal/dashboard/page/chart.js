// Line charts of the last five minutes, drawn as SVG. One can be read with the pointer and with the arrow keys.

import {h, s, setText} from "./dom.js";
import {time} from "./format.js";
import {WINDOW} from "./store.js";

const HEIGHT = 150;
const EDGE = {left: 46, right: 10, top: 8, bottom: 20};

// nice is the next round number above n: 1, 2, 2.5 or 5 times a power of ten.
function nice(n) {
	const power = 10 ** Math.floor(Math.log10(n));
	return [1, 2, 2.5, 5, 10].find((f) => n <= f * power) * power;
}

// Chart shows lines. opts: title; unit, behind the figure; format, of a value; lowest, of the upper end of the scale;
// lines, each {label, color: 1 to 6, value: of a tick, undefined for none}.
export class Chart {
	#opts;
	#ticks = [];
	#at = null; // which tick is read, null: the last
	#width = 0;
	#window = 60; // seconds that are drawn: a minute, until there is more

	constructor(opts) {
		this.#opts = opts;
		this.figure = h("span", {class: "figure"});
		this.when = h("span", {class: "when"});
		this.keys = opts.lines.map((l) => h("span", {class: "key-value"}));
		this.svg = s("svg", {class: "plot", height: HEIGHT, width: "100%", tabindex: "0", role: "img"});
		this.el = h("section", {class: "card chart"},
			h("div", {class: "chart-head"}, h("h2", null, opts.title), h("p", null, this.figure, " ", h("span", {class: "unit"}, opts.unit))),
			this.svg,
			h("div", {class: "keys"}, opts.lines.length > 1
				? opts.lines.map((l, i) => h("span", {class: "key"}, h("i", {class: "swatch c" + l.color}), l.label, " ", this.keys[i])) : null, this.when));
		this.svg.addEventListener("pointermove", (e) => this.#point(e.offsetX));
		this.svg.addEventListener("pointerleave", () => this.#read(null));
		this.svg.addEventListener("blur", () => this.#read(null));
		this.svg.addEventListener("keydown", (e) => {
			const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30}[e.key];
			if (!step || !this.#ticks.length) return;
			e.preventDefault();
			const from = this.#at ? this.#ticks.indexOf(this.#at) : this.#ticks.length - 1;
			this.#read(this.#ticks[Math.max(0, Math.min(this.#ticks.length - 1, from + step))]);
		});
		this.sizes = new ResizeObserver(([e]) => { this.#width = e.contentRect.width; this.draw(this.#ticks); });
		this.sizes.observe(this.svg);
	}

	end() { this.sizes.disconnect(); }

	#x(tick) {
		const now = Date.parse(this.#ticks.at(-1).at);
		const part = 1 - (now - Date.parse(tick.at)) / 1000 / this.#window;
		return EDGE.left + part * (this.#width - EDGE.left - EDGE.right);
	}

	#point(x) {
		let best = null;
		for (const t of this.#ticks) if (!best || Math.abs(this.#x(t) - x) < Math.abs(this.#x(best) - x)) best = t;
		this.#read(best);
	}

	#read(tick) {
		this.#at = tick;
		this.draw(this.#ticks);
	}

	// draw draws the ticks, the last of which is now.
	draw(ticks) {
		this.#ticks = ticks;
		const {lines, format, lowest, unit, title} = this.#opts;
		if (this.#at && !ticks.includes(this.#at)) this.#at = null;
		const read = this.#at ?? ticks.at(-1);
		const value = (l, t) => (t ? l.value(t) : undefined);
		const show = (v) => (v === undefined ? "–" : format(v));
		setText(this.figure, show(value(lines[0], read)));
		lines.forEach((l, i) => setText(this.keys[i], show(value(l, read))));
		setText(this.when, this.#at ? "at " + time(read.at) : "");
		this.svg.setAttribute("aria-label", `${title}: ${lines.map((l) => `${lines.length > 1 ? l.label + " " : ""}${show(value(l, read))} ${unit}`).join(", ")}${read ? ", at " + time(read.at) : ""}`);
		if (!this.#width) return;
		if (ticks.length) {
			const age = (Date.parse(ticks.at(-1).at) - Date.parse(ticks[0].at)) / 1000;
			this.#window = [60, 120, WINDOW].find((w) => age <= w) ?? WINDOW;
		}
		let top = lowest;
		for (const t of ticks) for (const l of lines) top = Math.max(top, value(l, t) ?? 0);
		top = nice(top);
		const y = (v) => EDGE.top + (1 - v / top) * (HEIGHT - EDGE.top - EDGE.bottom);
		const right = this.#width - EDGE.right;
		const parts = [];
		for (const part of [0, 0.5, 1]) {
			parts.push(s("line", {class: "grid", x1: EDGE.left, x2: right, y1: y(part * top), y2: y(part * top)}),
				s("text", {class: "tick-label", x: EDGE.left - 6, y: y(part * top) + 4, "text-anchor": "end"}, format(part * top)));
		}
		for (const [part, text, anchor] of [[0, `${this.#window / 60} min ago`, "start"], [1, "now", "end"]]) {
			parts.push(s("text", {class: "tick-label", x: EDGE.left + part * (right - EDGE.left), y: HEIGHT - 4, "text-anchor": anchor}, text));
		}
		if (ticks.length) {
			for (const l of [...lines].reverse()) parts.push(s("path", {class: "line c" + l.color, d: this.#path(ticks, l, y)}));
		}
		if (ticks.length) {
			const x = this.#x(read);
			if (this.#at) parts.push(s("line", {class: "cursor", x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom}));
			for (const l of [...lines].reverse()) {
				const v = value(l, read);
				if (v !== undefined) parts.push(s("circle", {class: "dot c" + l.color, cx: x, cy: y(v), r: this.#at ? 4 : 3}));
			}
		}
		this.svg.replaceChildren(...parts);
	}

	#path(ticks, line, y) {
		let d = "";
		let pen = false;
		for (const t of ticks) {
			const v = line.value(t);
			if (v !== undefined) d += `${pen ? "L" : "M"}${this.#x(t).toFixed(1)} ${y(v).toFixed(1)}`;
			pen = v !== undefined;
		}
		return d;
	}
}
