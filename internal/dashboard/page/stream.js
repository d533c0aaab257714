// The stream of ticks, one a second. EventSource cannot show a token, so it is read with fetch.

import {request} from "./api.js";

const SILENCE = 5000; // ms without a tick after which the proxy counts as gone
const HIDDEN = 15000; // ms for which a page that nobody sees goes on reading

// Stream reads events until the page is closed, and begins again where it was when it breaks. While the page is hidden it
// rests, so that nobody's proxy works for a page that nobody sees.
export class Stream extends EventTarget {
	#last = "";
	#abort = null;
	#wake = null;
	#rest = 0;

	start() {
		document.addEventListener("visibilitychange", () => {
			clearTimeout(this.#rest);
			if (document.hidden) this.#rest = setTimeout(() => this.#abort?.abort(), HIDDEN);
			else this.again();
		});
		this.#run();
	}

	// again tries now instead of later.
	again() { this.#wake?.(); }

	#tell(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail})); }

	async #run() {
		for (let failures = 0; ;) {
			let why = null;
			try {
				await this.#read(() => { failures = 0; });
			} catch (err) {
				why = err;
			}
			if (document.hidden) {
				await this.#pause(null);
				continue;
			}
			const delay = Math.min(5000, 500 * 2 ** failures++);
			this.#tell("down", {why, retry: delay});
			await this.#pause(delay);
		}
	}

	// pause waits for so many ms, or until again is called.
	#pause(ms) {
		return new Promise((done) => {
			const timer = ms === null ? 0 : setTimeout(done, ms);
			this.#wake = () => { clearTimeout(timer); done(); };
		});
	}

	async #read(opened) {
		const abort = this.#abort = new AbortController();
		const answer = await request("/v1/events", {signal: abort.signal, headers: this.#last ? {"Last-Event-ID": this.#last} : {}});
		const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
		let text = "";
		let timer = 0;
		try {
			for (;;) {
				clearTimeout(timer);
				timer = setTimeout(() => abort.abort(), SILENCE);
				const {value, done} = await reader.read();
				if (done) return;
				text += value;
				for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) this.#event(text.slice(0, end), opened);
			}
		} finally {
			clearTimeout(timer);
			abort.abort();
		}
	}

	#event(text, opened) {
		const fields = {};
		for (const line of text.split("\n")) {
			const colon = line.indexOf(": ");
			if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
		}
		if (!fields.data) return;
		if (fields.id) this.#last = fields.id;
		opened();
		this.#tell(fields.event, JSON.parse(fields.data));
	}
}
