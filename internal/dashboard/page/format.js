// Numbers and times with their units.

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const one = new Intl.NumberFormat("en", {maximumFractionDigits: 1});
const day = new Intl.DateTimeFormat("en", {year: "numeric", month: "short", day: "numeric"});
const clock = new Intl.DateTimeFormat("en", {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"});

export const number = (n) => whole.format(n);

// rate is a number a second, without the unit.
export const rate = (n) => (n >= 100 ? whole.format(n) : one.format(n));

export const plural = (n, word, words = word + "s") => `${number(n)} ${n === 1 ? word : words}`;

export function bytes(n) {
	if (n < 1024) return `${number(n)} B`;
	const units = ["KiB", "MiB", "GiB", "TiB"];
	let i = -1;
	do { n /= 1024; i++; } while (n >= 1024 && i < units.length - 1);
	return `${one.format(n)} ${units[i]}`;
}

export function seconds(t) {
	if (t === 0) return "0 ms";
	if (t < 0.001) return `${whole.format(t * 1e6)} µs`;
	if (t < 1) return `${t < 0.1 ? one.format(t * 1000) : whole.format(t * 1000)} ms`;
	if (t < 120) return `${one.format(t)} s`;
	if (t < 7200) return `${whole.format(t / 60)} min`;
	if (t < 172800) return `${whole.format(t / 3600)} h`;
	return `${whole.format(t / 86400)} days`;
}

export const time = (at) => clock.format(new Date(at));
export const date = (at) => day.format(new Date(at));

// moment is a date and a time.
export const moment = (at) => `${date(at)}, ${time(at)}`;

// ago says how long ago something was.
export function ago(at) {
	const t = (Date.now() - new Date(at).getTime()) / 1000;
	if (t < 1.5) return "now";
	return `${seconds(Math.round(t))} ago`;
}

export function daysLeft(n) {
	if (n === undefined) return "";
	if (n < 0) return "ended";
	return plural(n, "day");
}

// urgency is how soon something has to be done about a certificate with so many days left.
export function urgency(n) {
	if (n === undefined) return ["", "not known"];
	if (n < 0) return ["bad", "expired"];
	if (n < 7) return ["bad", "renew now"];
	if (n < 30) return ["warn", "renew soon"];
	return ["good", "good"];
}

// hostPort writes an address with its port.
export const hostPort = (ip, port) => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);
