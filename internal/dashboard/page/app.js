// The frame of the page: which view is shown, and how the proxy is doing.

import {onUnauthorized} from "./api.js";
import {h, link, query, setText} from "./dom.js";
import {time} from "./format.js";
import {store} from "./store.js";
import * as overview from "./overview.js";
import * as aliases from "./aliases.js";
import * as peers from "./peers.js";
import * as connections from "./connections.js";
import * as calls from "./calls.js";
import * as certificates from "./certificates.js";
import * as explain from "./explain.js";

const views = [
	["", "Overview", overview],
	["aliases", "Alias table", aliases],
	["peers", "Peers", peers],
	["connections", "Connections", connections],
	["calls", "Calls", calls],
	["certificates", "Certificates", certificates],
	["explain", "Explain", explain],
];
const byId = (id) => document.getElementById(id);
const main = byId("main");
let shown = null; // {path, leave}

// route shows the view that the address names: #/view?name=value.
function route(first) {
	const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
	if (location.hash === "#main") return; // the skip link
	const [name, title, view] = views.find(([n]) => n === path) ?? views[0];
	const params = new URLSearchParams(search ?? "");
	document.title = `${title} · Tandem`;
	for (const a of byId("nav").querySelectorAll("a")) {
		if (a.dataset.view === name) {
			a.setAttribute("aria-current", "page");
			a.scrollIntoView({block: "nearest", inline: "nearest"});
		} else a.removeAttribute("aria-current");
	}
	if (shown?.name === name && shown.update?.(params)) return;
	shown?.leave?.();
	main.replaceChildren();
	const heading = h("h1", {tabindex: "-1"}, title);
	main.append(heading);
	shown = {name, ...view.show(main, params)};
	if (!first) heading.focus({preventScroll: true});
	window.scrollTo(0, 0);
}

function drawLink() {
	const pill = byId("link");
	const down = byId("down");
	const state = store.last?.state ?? store.status?.state ?? "serving";
	document.body.classList.toggle("stale", store.up === false);
	if (store.up === null) return;
	if (store.up) {
		pill.className = "pill " + (state === "serving" ? "good" : "warn");
		setText(pill, state);
		down.hidden = true;
		return;
	}
	pill.className = "pill bad";
	setText(pill, "no answer");
	down.hidden = false;
	down.replaceChildren(
		h("strong", null, store.error ? "The proxy refuses to be watched." : "The proxy does not answer."), " ",
		store.error ? store.error + " " : `What is shown is of ${time(store.last?.at ?? store.since)}. `,
		"It is tried again every few seconds. ",
		h("button", {type: "button", onclick: () => store.stream.again()}, "Try now"));
}

function drawWhere() {
	const st = store.status;
	if (!st) return;
	setText(byId("where"), `${location.host} · ${st.version}`);
	drawLink();
}

// askToken asks for the token in a dialog, until one is given.
function askToken(wrong) {
	return new Promise((done) => {
		const field = h("input", {type: "password", id: "token", name: "token", autocomplete: "current-password", required: true});
		const form = h("form", {method: "dialog"},
			h("h2", null, "This admin API asks for a token"),
			h("p", null, wrong ? "That token is not the right one." : "It is what the file named by token_file has in it. It is kept until this tab is closed."),
			h("label", {for: "token"}, "Token"), field,
			h("div", {class: "buttons"}, h("button", {type: "submit", class: "main"}, "Go on")));
		const box = h("dialog", {class: "box", "aria-label": "Token"}, form);
		box.addEventListener("cancel", (e) => e.preventDefault());
		form.addEventListener("submit", (e) => {
			e.preventDefault();
			box.close();
			box.remove();
			done(field.value.trim());
		});
		document.body.append(box);
		box.showModal();
	});
}

const themes = ["system", "light", "dark"];

function setTheme(name) {
	if (name === "system") document.documentElement.removeAttribute("data-theme");
	else document.documentElement.dataset.theme = name;
	const button = byId("theme");
	button.textContent = {system: "◐", light: "☀", dark: "☾"}[name];
	button.title = `Theme: ${name}`;
	button.setAttribute("aria-label", `Theme: ${name}. Change it`);
	button.dataset.theme = name;
}

function start() {
	const kept = localStorage.getItem("tandem.theme");
	setTheme(themes.includes(kept) ? kept : "system");
	byId("theme").addEventListener("click", () => {
		const next = themes[(themes.indexOf(byId("theme").dataset.theme) + 1) % themes.length];
		localStorage.setItem("tandem.theme", next);
		setTheme(next);
	});
	byId("nav").append(...views.map(([name, title]) => {
		const a = link("/" + name, title);
		a.dataset.view = name;
		return a;
	}));
	byId("search").addEventListener("submit", (e) => {
		e.preventDefault();
		location.hash = "/calls" + query({q: byId("q").value.trim()});
	});
	document.querySelector(".skip").addEventListener("click", (e) => {
		e.preventDefault();
		main.focus();
	});
	onUnauthorized(askToken);
	store.addEventListener("link", drawLink);
	store.addEventListener("tick", drawLink);
	store.addEventListener("status", drawWhere);
	window.addEventListener("hashchange", () => route(false));
	route(true);
	store.start();
}

start();
