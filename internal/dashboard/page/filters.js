// Filters above a list: each is a parameter of the API, and stands in the address of the page.

import {h, query} from "./dom.js";

// Filters makes a form. fields: {name, title, words: for a choice, hint: for a text}. change is called with what is chosen.
export class Filters {
	constructor(view, fields, params, change) {
		this.fields = fields;
		this.view = view;
		this.inputs = fields.map((f) => {
			const id = "f-" + f.name;
			const value = params.get(f.name) ?? "";
			const input = f.words
				? h("select", {id, name: f.name}, h("option", {value: ""}, "all"), f.words.map((w) => h("option", {value: w}, w)))
				: h("input", {id, name: f.name, type: "search", placeholder: f.hint, autocomplete: "off", spellcheck: "false", maxlength: "400"});
			input.value = value;
			input.addEventListener("change", () => {
				history.replaceState(null, "", "#/" + view + query(this.values));
				change();
			});
			return h("label", {for: id}, h("span", null, f.title), input);
		});
		this.el = h("form", {class: "filters"}, this.inputs);
		this.el.addEventListener("submit", (e) => {
			e.preventDefault();
			document.activeElement?.dispatchEvent(new Event("change"));
		});
	}

	get values() {
		return Object.fromEntries([...new FormData(this.el)].map(([k, v]) => [k, v.trim()]).filter(([, v]) => v));
	}

	// take sets the values, and reports whether that changed any.
	take(params) {
		let changed = false;
		for (const f of this.fields) {
			const input = this.el.elements[f.name];
			const value = params.get(f.name) ?? "";
			changed ||= input.value !== value;
			input.value = value;
		}
		return changed;
	}
}
