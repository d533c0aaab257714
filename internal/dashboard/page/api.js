// The admin API, and the token that it may ask for.

const KEY = "tandem.token";

// Refusal is what the API answered instead of what was asked for; code "unreachable" is none of its own: nobody answered.
export class Refusal extends Error {
	constructor(status, code, message, problems) {
		super(message);
		this.status = status;
		this.code = code;
		this.problems = problems ?? [];
	}
}

let token = sessionStorage.getItem(KEY) ?? "";
let asking = null; // the question for the token that is open
let prompt = () => Promise.resolve("");

// onUnauthorized says how the user is asked for a token.
export function onUnauthorized(ask) { prompt = ask; }

// askToken asks the user, once for all who want it at the same time.
function askToken(was) {
	if (token !== was) return Promise.resolve(); // it was given meanwhile
	asking ??= prompt(was !== "").then((given) => {
		token = given;
		sessionStorage.setItem(KEY, token);
		asking = null;
	});
	return asking;
}

function headers(more) {
	const all = {...more};
	if (token) all.Authorization = "Bearer " + token;
	return all;
}

// request sends, asks for a token when one is wanted, and turns refusals into errors.
export async function request(path, options = {}) {
	for (;;) {
		const shown = token;
		let answer;
		try {
			answer = await fetch(path, {...options, headers: headers(options.headers), cache: "no-store", redirect: "error"});
		} catch (err) {
			if (err.name === "AbortError") throw err;
			throw new Refusal(0, "unreachable", "The proxy does not answer.");
		}
		if (answer.ok) return answer;
		if (answer.status === 401) {
			await askToken(shown);
			continue;
		}
		let body = null;
		try { body = (await answer.json()).error; } catch { /* it is no refusal of the API's */ }
		throw new Refusal(answer.status, body?.code ?? "internal", body?.message ?? `HTTP ${answer.status}`, body?.problems);
	}
}

// get asks for JSON.
export const get = async (path, options) => (await request(path, options)).json();

// getTagged asks for JSON and returns its ETag as well.
export async function getTagged(path) {
	const answer = await request(path);
	return {value: await answer.json(), etag: answer.headers.get("ETag")};
}

// post has something done to what has the ETag.
export const post = async (path, etag) => (await request(path, {method: "POST", headers: etag ? {"If-Match": etag} : {}})).json();

// paced keeps from asking too often: again after a second, or twenty times as long as the last answer took.
export function paced(ask) {
	let next = 0;
	let busy = false;
	return async (force) => {
		if (busy || (!force && performance.now() < next)) return;
		busy = true;
		const begun = performance.now();
		try {
			await ask();
		} finally {
			const now = performance.now();
			next = now + Math.max(900, 20 * (now - begun));
			busy = false;
		}
	};
}
