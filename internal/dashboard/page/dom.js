// Elements out of text. Nothing here, or anywhere on this page, parses markup: what a peer wrote stays text.

const SVG = "http://www.w3.org/2000/svg";

const given = (children) => children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false && c !== "").map((c) => (c instanceof Node ? c : String(c)));

function fill(el, props, children) {
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false) continue;
		if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
		else if (name === "css") for (const [p, v] of Object.entries(value)) el.style.setProperty(p, v);
		else el.setAttribute(name, value === true ? "" : String(value));
	}
	el.append(...given(children));
	return el;
}

// h makes an element of HTML: h("a", {href: "#/"}, "text", otherElement).
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

// s makes an element of SVG.
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

// put gives an element other children.
export const put = (el, ...children) => el.replaceChildren(...given(children));

// setText changes a text only when it is another one, which spares the browser the work.
export function setText(el, text) {
	if (el.textContent !== text) el.textContent = text;
}

// link is a link to a view of this page.
export const link = (path, ...children) => h("a", {href: "#" + path}, ...children);

// query makes the part of a path behind the question mark.
export function query(params) {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(params ?? {})) {
		if (value !== undefined && value !== null && value !== "") q.set(name, value);
	}
	const text = q.toString();
	return text ? "?" + text : "";
}

// facts is a list of names and values. Values that are empty are left out.
export function facts(...pairs) {
	const list = h("dl", {class: "facts"});
	for (const [name, value] of pairs) {
		if (value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)) continue;
		list.append(h("div", null, h("dt", null, name), h("dd", null, Array.isArray(value) && !(value[0] instanceof Node) ? value.join(", ") : value)));
	}
	return list;
}

// empty says why there is nothing.
export const empty = (title, ...more) => h("div", {class: "empty"}, h("p", {class: "empty-title"}, title), more.length ? h("p", null, ...more) : null);

// pill is a word with a colour that the word does not depend on.
export const pill = (kind, ...text) => h("span", {class: "pill " + kind}, ...text);
