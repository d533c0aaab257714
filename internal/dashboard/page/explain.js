// Where a request for a next hop would go, and why.

import {get} from "./api.js";
import {empty, facts, h, link, pill, query} from "./dom.js";
import {hostPort, plural, seconds} from "./format.js";
import {store} from "./store.js";
import {bases, decisions, reason} from "./words.js";

const kinds = {reuse: "good", dial: "info", join: "info", datagram: "", plain: "", refuse: "bad"};

// drawWay shows what becomes of a request at one address.
export function drawWay(w, i) {
	return h("li", {class: "way"},
		h("p", {class: "way-head"}, i === undefined ? null : h("span", {class: "muted"}, `${i + 1}.`), h("code", null, `${w.transport}:${hostPort(w.ip, w.port)}`),
			pill(kinds[w.action] ?? "", decisions[w.action] ?? w.action), w.connection ? link("/connections?id=" + w.connection, `connection ${w.connection}`) : null),
		facts(["Reason", [h("code", null, w.reason), " ", reason(w.reason)]], ["Must be proved there", w.reference_identity && `${w.reference_identity} (${bases[w.basis] ?? w.basis})`], ["Failure", w.failure]),
		w.rows.length ? h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "Alias rows considered"}, h("table", null,
			h("caption", null, plural(w.rows.length, "alias row") + " considered"),
			h("thead", null, h("tr", null, ["Verdict", "Connection", "Local domain", "Identities"].map((t) => h("th", {scope: "col"}, t)))),
			h("tbody", null, w.rows.map((v) => h("tr", null, h("td", null, h("code", null, v.reason)), h("td", null, `${v.row.connection}, ${v.row.direction}`), h("td", null, v.row.local_domain), h("td", null, v.row.identities.join(", ")))))))
			: null);
}

function draw(x) {
	const refused = x.addresses.length === 0 || x.addresses.every((w) => w.action === "refuse");
	return h("div", null,
		h("p", {class: "note would " + (refused ? "bad-note" : "good-note")}, h("strong", null, x.would)),
		h("div", {class: "card"}, h("h2", null, "DNS"), x.failure ? h("p", {class: "bad-text"}, x.failure) : null,
			x.steps.length ? h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "DNS steps"}, h("table", null,
				h("thead", null, h("tr", null, ["Question", "Type", "Answer", "Holds", "From"].map((t) => h("th", {scope: "col"}, t)))),
				h("tbody", null, x.steps.map((st) => h("tr", null, h("td", null, st.question), h("td", null, st.type), h("td", null, st.answer), h("td", {class: "num"}, seconds(Math.max(0, Math.round(st.ttl_seconds)))),
					h("td", null, [st.from, st.cached ? "known before" : ""].filter(Boolean).join(", ")))))))
				: h("p", {class: "muted"}, "Nothing had to be asked: the URI names an address.")),
		h("div", {class: "card"}, h("h2", null, "Addresses, in the order in which they are tried"),
			x.addresses.length ? h("ol", {class: "ways"}, x.addresses.map(drawWay)) : h("p", {class: "muted"}, "There is none.")));
}

export function show(main, params) {
	const uri = h("input", {id: "uri", name: "uri", type: "text", required: true, placeholder: "sips:bob@example.net", autocomplete: "off", spellcheck: "false", maxlength: "4096"});
	const from = h("select", {id: "from", name: "from"});
	const button = h("button", {type: "submit", class: "main"}, "Explain");
	const form = h("form", {class: "filters ask"}, h("label", {for: "uri", class: "wide"}, h("span", null, "Next hop, a SIP or SIPS URI"), uri), h("label", {for: "from"}, h("span", null, "On behalf of"), from), button);
	const result = h("div", {"aria-live": "polite"});
	main.append(h("p", {class: "lead"}, "The same resolver and the same tables are asked as for a request, and nothing is changed."), form, result);
	const idle = () => result.replaceChildren(h("div", {class: "card"}, empty("No question yet.", "Write the URI of a next hop, such as sips:bob@example.net.")));
	let wanted = params.get("from") ?? "";

	function domains() {
		const names = (store.status?.domains ?? []).map((d) => d.name);
		const value = from.value || wanted;
		from.replaceChildren(...(names.length ? names : [""]).map((n) => h("option", {value: n}, n || "no served domain")));
		if (names.includes(value)) from.value = value;
	}
	async function ask() {
		button.disabled = true;
		try {
			result.replaceChildren(draw(await get("/v1/explain" + query({uri: uri.value.trim(), from: from.value || wanted}))));
		} catch (err) {
			result.replaceChildren(h("p", {class: "note bad-note"}, err.message));
		} finally {
			button.disabled = false;
		}
	}
	form.addEventListener("submit", (e) => {
		e.preventDefault();
		history.replaceState(null, "", "#/explain" + query({uri: uri.value.trim(), from: from.value}));
		ask();
	});
	store.addEventListener("status", domains);
	domains();
	const take = (p) => {
		uri.value = p.get("uri") ?? "";
		wanted = p.get("from") ?? "";
		if (uri.value) ask(); else idle();
	};
	take(params);
	return {update: (p) => { take(p); return true; }, leave: () => store.removeEventListener("status", domains)};
}
