// What is known of the proxy: its status, and the ticks of the last five minutes.

import {get} from "./api.js";
import {Stream} from "./stream.js";

export const WINDOW = 300; // seconds that are kept and drawn

class Store extends EventTarget {
	status = null;
	ticks = [];
	up = null; // null: not known yet
	since = null; // when it went down
	error = "";
	stream = new Stream();

	start() {
		this.stream.addEventListener("hello", ({detail}) => {
			if (!detail.resumed) this.ticks = [];
			this.#link(true, "");
			this.refresh();
		});
		this.stream.addEventListener("tick", ({detail}) => {
			this.ticks.push(detail);
			const first = Date.parse(detail.at) - WINDOW * 1000;
			while (Date.parse(this.ticks[0].at) < first) this.ticks.shift();
			this.#link(true, "");
			this.dispatchEvent(new Event("tick"));
			if (this.status && detail.state !== this.status.state) this.refresh();
		});
		this.stream.addEventListener("down", ({detail}) => {
			this.#link(false, detail.why?.code === "unreachable" || !detail.why?.code ? "" : detail.why.message);
		});
		this.stream.start();
		setInterval(() => { if (this.up && !document.hidden) this.refresh(); }, 30000);
	}

	async refresh() {
		try {
			this.status = await get("/v1/status");
			this.dispatchEvent(new Event("status"));
		} catch { /* the stream says whether the proxy is there */ }
	}

	#link(up, error) {
		if (this.up === up && this.error === error) return;
		if (!up && this.up !== false) this.since = new Date();
		this.up = up;
		this.error = error;
		this.dispatchEvent(new Event("link"));
	}

	// last is the last tick, or null.
	get last() { return this.ticks.at(-1) ?? null; }
}

export const store = new Store();
