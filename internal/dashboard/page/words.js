// What the words of closed lists mean.

export const reasons = {
	reuse: "a connection stood that is authenticated for the domain",
	reuse_by_configured_reference: "a connection stood, for the name configured for the IP address",
	reuse_by_dialog: "a connection stood, for the name proved when the dialog was made",
	no_row: "no connection to the address was known",
	identity_mismatch: "connections to the address stood, none authenticated for the domain",
	other_local_domain: "the connection belongs to another served domain",
	closing: "the connection is being closed",
	not_tls: "the transport proves no identity",
	unauthenticated: "the peer has proved no identity",
	declined_by_policy: "the configuration declines aliases with this peer",
	expired: "the peer's certificate has ended",
	no_reference: "an IP address, and no name is configured for it",
	too_many_rows: "the table has as many rows as it may",
	bad_row: "the row has no connection or no address",
	client_only: "the peer's certificate would not do for a server",
};

export const decisions = {
	reuse: "reused",
	dial: "dialed",
	plain: "without TLS",
	refuse: "refused",
	datagram: "as a datagram",
	join: "waits for a dial under way",
};

export const bases = {
	uri: "the host of the URI",
	configured_reference: "configured for the address",
	dialog: "proved when the dialog was made",
};

export const reason = (word) => reasons[word] ?? word;
