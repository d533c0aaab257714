// What views have in common: they are asked for anew each tick, and say so when they cannot be.

import {paced} from "./api.js";
import {h} from "./dom.js";
import {store} from "./store.js";

// live calls ask now and with each tick, as fast as answers come, and shows why there is none. What it returns ends it.
export function live(place, ask) {
	const note = h("p", {class: "note bad-note", role: "status", hidden: true});
	place.append(note);
	let ended = false;
	const again = paced(async () => {
		try {
			await ask();
			note.hidden = true;
		} catch (err) {
			if (ended || err.name === "AbortError") return;
			note.hidden = err.code === "unreachable"; // the banner says that
			note.textContent = err.message;
		}
	});
	const tick = () => again(false);
	store.addEventListener("tick", tick);
	again(true);
	return {
		now: () => again(true),
		end: () => { ended = true; store.removeEventListener("tick", tick); },
	};
}
