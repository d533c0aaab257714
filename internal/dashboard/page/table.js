// A list of any length: only the rows in sight are asked for, and only they are elements.

import {h, setText} from "./dom.js";
import {number} from "./format.js";

const SPARE = 10; // rows above and below those in sight
const narrow = window.matchMedia("(max-width: 700px)");

// Table shows what ask gives. opts: label; columns, each {title, sort: a field of the API, width: of CSS grid, num: to
// the right, cell: (item) => text or element}; ask: ({offset, limit, sort}) => {items, total}; empty: () => element;
// sort: at first; key: (item) => text, by which a row counts as the same one.
export class Table {
	#opts;
	#items = new Map(); // by their place
	#total = null;
	#rows = new Map(); // elements, by their place
	#frame = 0;
	#asked = "";

	constructor(opts) {
		this.#opts = opts;
		this.sort = opts.sort ?? "";
		this.heads = opts.columns.map((c) => this.#head(c));
		this.sizer = h("div", {class: "sizer", role: "presentation"});
		this.port = h("div", {class: "port", tabindex: "0", role: "rowgroup", "aria-label": opts.label + ": rows"}, this.sizer);
		this.count = h("p", {class: "muted count", role: "status"});
		this.none = h("div", {hidden: true});
		this.table = h("div", {class: "vtable", role: "table", "aria-label": opts.label, css: {"--columns": opts.columns.map((c) => c.width).join(" ")}},
			h("div", {role: "rowgroup", class: "vhead"}, h("div", {class: "vrow", role: "row"}, this.heads)), this.port);
		this.el = h("div", {class: "card list"}, this.count, this.none, this.table);
		this.port.addEventListener("scroll", () => this.#soon(), {passive: true});
		this.sizes = new ResizeObserver(() => this.#soon());
		this.sizes.observe(this.port);
		this.relayout = () => { for (const r of this.#rows.values()) r.remove(); this.#rows.clear(); this.#layout(); };
		narrow.addEventListener("change", this.relayout);
		this.#layout();
	}

	end() {
		this.sizes.disconnect();
		narrow.removeEventListener("change", this.relayout);
		cancelAnimationFrame(this.#frame);
	}

	#head(c) {
		if (!c.sort) return h("div", {role: "columnheader", class: c.num ? "num plain" : "plain"}, c.title);
		const head = h("div", {role: "columnheader", class: c.num ? "num" : ""});
		head.append(h("button", {type: "button", class: "sort", onclick: () => {
			this.sort = this.sort === c.sort ? "-" + c.sort : this.sort === "-" + c.sort ? "" : c.sort;
			this.#mark();
			this.clear();
			this.onsort?.();
		}}, c.title));
		return head;
	}

	#mark() {
		this.#opts.columns.forEach((c, i) => {
			if (!c.sort) return;
			this.heads[i].setAttribute("aria-sort", this.sort === c.sort ? "ascending" : this.sort === "-" + c.sort ? "descending" : "none");
		});
	}

	#layout() {
		// A row of a narrow page has its cells in two columns, each below its title.
		this.height = narrow.matches ? 16 + 42 * Math.ceil(this.#opts.columns.length / 2) : 38;
		this.table.style.setProperty("--row", this.height + "px");
		this.#mark();
		this.#soon();
	}

	// clear forgets what was shown, because something else is asked for now.
	clear() {
		this.#items.clear();
		this.#total = null;
		this.#asked = "";
		this.port.scrollTop = 0;
		for (const r of this.#rows.values()) r.remove();
		this.#rows.clear();
		this.#soon();
	}

	// range is the rows in sight, with some to spare.
	#range() {
		const first = Math.max(0, Math.floor(this.port.scrollTop / this.height) - SPARE);
		return [first, Math.ceil((this.port.scrollTop + this.port.clientHeight) / this.height) + SPARE];
	}

	// refresh asks for the rows in sight.
	async refresh() {
		const [first, last] = this.#range();
		const offset = Math.max(0, first - first % 50);
		const sort = this.sort;
		const limit = Math.max(100, last - offset);
		this.#asked = `${offset} ${limit} ${sort}`;
		const page = await this.#opts.ask({offset, limit, sort});
		if (sort !== this.sort) return;
		if (page.total !== this.#total) for (const i of [...this.#items.keys()]) if (i >= page.total) this.#items.delete(i);
		this.#total = page.total;
		page.items.forEach((item, i) => this.#items.set(offset + i, item));
		// What was seen elsewhere long ago is forgotten.
		if (this.#items.size > 2000) for (const i of [...this.#items.keys()]) if (i < offset - 500 || i > offset + limit + 500) this.#items.delete(i);
		this.#draw();
	}

	#soon() {
		this.#frame ||= requestAnimationFrame(() => {
			this.#frame = 0;
			this.#draw();
			const [first, last] = this.#range();
			for (let i = first; i < Math.min(last, this.#total ?? 0); i++) {
				if (!this.#items.has(i)) {
					this.#missing();
					return;
				}
			}
		});
	}

	// missing asks for what has come into sight and is not here, once scrolling rests.
	#missing() {
		clearTimeout(this.waiting);
		this.waiting = setTimeout(() => this.refresh().catch(() => { /* the next tick tries again */ }), 60);
	}

	#draw() {
		const total = this.#total;
		setText(this.count, total === null ? "Loading" : `${number(total)} in all`);
		const nothing = total === 0;
		if (nothing && this.none.hidden) this.none.replaceChildren(this.#opts.empty());
		this.none.hidden = !nothing;
		this.table.hidden = nothing;
		this.count.hidden = nothing;
		if (nothing) return;
		this.table.setAttribute("aria-rowcount", (total ?? 0) + 1);
		this.table.style.setProperty("--content", (total ?? 8) * this.height + "px");
		const [first, last] = this.#range();
		const end = Math.min(last, total ?? 0);
		const free = [];
		for (const [i, row] of this.#rows) {
			if (i >= first && i < end) continue;
			if (i < (total ?? 0) && row.contains(document.activeElement)) continue; // the focus stays where it is
			this.#rows.delete(i);
			free.push(row);
		}
		for (let i = first; i < end; i++) {
			let row = this.#rows.get(i);
			if (!row) {
				row = free.pop() ?? this.#newRow();
				row.style.transform = `translateY(${i * this.height}px)`;
				row.setAttribute("aria-rowindex", i + 2);
				this.#rows.set(i, row);
				row.item = undefined;
			}
			this.#fill(row, this.#items.get(i));
		}
		for (const row of free) row.remove();
	}

	#newRow() {
		const row = h("div", {class: "vrow", role: "row"}, this.#opts.columns.map((c) =>
			h("div", {role: "cell", class: c.num ? "num" : "", "data-title": c.title})));
		this.sizer.append(row);
		return row;
	}

	#fill(row, item) {
		if (row.item === item) return;
		const same = row.item && item && this.#opts.key(row.item) === this.#opts.key(item);
		row.item = item;
		row.classList.toggle("waiting", !item);
		this.#opts.columns.forEach((c, i) => {
			const cell = row.children[i];
			const content = item ? c.cell(item) : "";
			if (content instanceof Node) {
				// An element that says the same stays, and keeps the focus.
				if (same && cell.firstChild && content.isEqualNode(cell.firstChild)) return;
				cell.replaceChildren(content);
				cell.title = content.textContent;
			} else {
				setText(cell, content);
				cell.title = content;
			}
		});
	}
}
