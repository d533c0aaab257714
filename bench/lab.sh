#!/usr/bin/env bash
# Measures one of the points that Tandem is judged by, beside Kamailio, in the performance lab: bench/lab.sh POINT
# Needs root, for a network and accounting of its own. README.md has the points and the settings.
set -euo pipefail
bench=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
: "${LAB:=$bench/../../shared/perf}"              # the lab; it is copied to where it may write
: "${OUT:=${TMPDIR:-/tmp}/tandem-lab}"            # the copy, and a file of lines for each run
: "${REPEAT:=5}" "${MAX_OTHER=0.3}"               # pairs, and processors that others may use in a run that counts
export REPEAT MAX_OTHER bench
points='compare capacity memory idle handshakes arrivals growth overload sctp'

if [ -z "${LAB_INSIDE:-}" ]; then
	[[ $# = 1 && " $points " == *" $1 "* ]] || { echo "usage: bench/lab.sh POINT, one of: $points" >&2; exit 2; }
	mkdir -p "$OUT"
	cp -r --update --no-preserve=mode "$LAB/." "$OUT/"
	chmod +x "$OUT"/*.sh "$OUT"/kamailio/*.sh
	if [ -z "${TANDEM_BIN:-}" ]; then
		export TANDEM_BIN=$OUT/tandem
		CGO_ENABLED=0 go -C "$bench/.." build -o "$TANDEM_BIN" ./cmd/tandem
	fi
	export LAB_INSIDE=1 OUT TANDEM_BIN
	exec unshare --net bash "$0" "$1"
fi
ip link set lo up
cd "$OUT"
both=(profiles/kamailio.env "$bench/tandem.env")
lines=$OUT/$1.$(date +%Y%m%dT%H%M%S).jsonl

# show FILTER: a line of text for each line of figures of this point that the filter knows.
show() { jq -rs "$1" "$lines"; }

# ratios FIGURE NAME: ours to theirs, run by run in pairs: median (least to most).
ratios() {
	show "def med: sort | if length % 2 == 1 then .[length/2|floor] else (.[length/2-1] + .[length/2]) / 2 end;
		def r: . * 1000 | round / 1000;
		group_by([.variant, .rate])[] | . as \$all | .[0] as \$f |
		[\$all[] | select(.proxy == \"kamailio\") | $1] as \$theirs | [\$all[] | select(.proxy == \"tandem\") | $1] as \$ours |
		[range([(\$theirs | length), (\$ours | length)] | min) | \$ours[.] / \$theirs[.]] as \$r |
		\"\(\$f.variant) \(\$f.rate): $2 \(\$r | med | r) (\(\$r | min | r) to \(\$r | max | r)) of kamailio, \(\$r | length) pairs, \(
			[\$all[] | select(.proxy == \"tandem\") | .failed] | add) failed calls, \([\$all[] | select(.proxy == \"kamailio\") | .failed] | add) of kamailio\""
}
cpu='(.p1_cpu_s_per_1000 + .p2_cpu_s_per_1000)'

# against PROFILE: processor time a call of ours in all settings, and its ratio to that in one of them, run by run.
against() {
	show "def med: sort | if length % 2 == 1 then .[length/2|floor] else (.[length/2-1] + .[length/2]) / 2 end;
		def r: . * 1000 | round / 1000;
		[.[] | select(.proxy == \"$1\") | $cpu] as \$one | group_by(.proxy)[] | [.[] | $cpu] as \$all |
		[range([(\$all | length), (\$one | length)] | min) | \$all[.] / \$one[.]] as \$ratio |
		\"\(.[0].proxy): \(\$all | med | r) s for 1000 calls, \(\$ratio | med | r) (\(\$ratio | min | r) to \(\$ratio | max | r)) of $1, \(map(.failed) | add) failed calls\""
}

# Processor time a call, and the time to ring, at each rate.
point_compare() {
	local variant rates rate
	for variant in trunk trunk-uasbye udp tcp; do
		case $variant in trunk*) rates=${RATES:-500 1000 2000} ;; *) rates=${RATES:-1000} ;; esac
		for rate in $rates; do RATE=$rate ./compare.sh "$variant" "${both[@]}" >> "$lines"; done
	done
	ratios "$cpu" 'cpu a call'
	ratios '.probe.ring_us.p50' 'time to ring, median'
	ratios '.probe.ring_us.p99' 'time to ring, 99th percentile'
}

# The highest rate that each sustains, REPEAT times in turn.
point_capacity() {
	local profile n
	for n in $(seq "$REPEAT"); do
		for profile in "${both[@]}"; do
			# shellcheck disable=SC2086,SC1090
			( set -a; lab=$OUT; . "$profile"; set +a; MAX_OTHER='' ./steps.sh trunk ${RATES:-2000 2500 3000 3500 4000 4500 5000} ) |
				jq -c --argjson n "$n" '. + {round: $n}' >> "$lines" || true # steps.sh ends in failure when the last rate is not sustained
		done
	done
	show 'group_by([.proxy, .round])[] | "\(.[0].proxy), round \(.[0].round): \(map(select(.sustained) | .rate) | max // "none") calls/s"'
}

# What an idle mutual TLS connection takes, and the whole under load.
point_memory() {
	ulimit -n "$(ulimit -Hn)"
	CONNS=${CONNS:-18000} REPEAT=1 ./compare.sh tls-idle "${both[@]}" >> "$lines"
	RATE=1000 ./compare.sh trunk "${both[@]}" >> "$lines"
	show '.[] | if .variant == "tls-idle" then "\(.proxy): \(.gen.pss_kib_per_conn) KiB for each of \(.gen.open) idle connections, \(.gen.failed) failed"
		else "\(.proxy): \(.p1_pss_mib) and \(.p2_pss_mib) MiB after \(.rate) calls/s" end'
}

point_handshakes() {
	RATE=0 ./compare.sh tls-handshake "${both[@]}" >> "$lines"
	ratios .p1_cpu_s_per_1000 'cpu a handshake'
}

# proxy ROLE IP DOMAIN NEXT starts one of ours, which ends with this script.
started=()
trap '[ ${#started[@]} = 0 ] || kill "${started[@]}"' EXIT
proxy() {
	local run=$OUT/$1.run i
	mkdir -p "$run"
	./mkcerts.sh "$OUT/certs"
	LAB_ROLE=$1 LAB_IP=$2 LAB_DOMAIN=$3 LAB_NEXT=$4 LAB_TRANSPORTS='udp tls' LAB_RUN=$run LAB_CERT=$OUT/certs/$3.ecdsa.pem \
		LAB_KEY=$OUT/certs/$3.ecdsa.key LAB_CA=$OUT/certs/ca.pem "$bench/start.sh" &
	started+=($!)
	for i in $(seq 100); do [ -z "$(ss -Hlnt src "$2:5061")" ] || return 0; sleep 0.1; done
	echo "lab.sh: $1 does not listen" >&2; exit 1
}
client=(--cert "$OUT/certs/client.example.org.ecdsa.pem" --ca "$OUT/certs/ca.pem" --server-name a.example.com)

# Processor time of a proxy while CONNS mutual TLS connections are held and nobody calls: ours alone.
point_idle() {
	local n=${CONNS:-18000} pid before after i
	ulimit -n "$(ulimit -Hn)"
	proxy p1 127.0.0.11 a.example.com 'sip:127.0.0.22:5061;transport=tls'
	(cd loadgen && { [ loadgen -nt main.go ] || go build -o loadgen .; })
	loadgen/loadgen conns -to 127.0.0.11:5061 -n "$n" -workers 4 -limit 5m -cert "${client[1]}" -key "${client[1]%.pem}.key" \
		-ca "${client[3]}" -name a.example.com > idle.out 2> idle.err &
	started+=($!)
	for i in $(seq 1200); do ! grep -q ready idle.err || break; sleep 0.1; done
	sleep 15
	pid=$(ss -Hlntp src 127.0.0.11:5061 | sed 's/.*pid=\([0-9]*\).*/\1/')
	cpu() { awk '{ s += $1 } END { printf "%.0f", s }' /proc/"$pid"/task/*/schedstat; }
	for i in 1 2 3; do
		before=$(cpu); sleep 10; after=$(cpu)
		jq -cn --argjson conns "$(ss -Htn state established src 127.0.0.11 sport = :5061 | wc -l)" --argjson ns $((after - before)) \
			'{proxy: "tandem", conns: $conns, percent: ($ns / 1e8)}' >> "$lines"
	done
	show '.[] | "\(.proxy): \(.percent * 100 | round / 100) % of a processor, \(.conns) idle connections"'
}

# Latency of calls over a trunk while other connections come, at HANDSHAKES a second, and go: ours alone. The load
# generator is given precedence where that is allowed, so that its own wait does not count.
point_arrivals() {
	local i first=()
	if chrt -f 5 true 2> /dev/null; then first=(chrt -f 5); fi
	proxy p2 127.0.0.12 b.example.net 'sip:127.0.0.22:5060'
	proxy p1 127.0.0.11 a.example.com 'sip:127.0.0.12:5061;transport=tls'
	for i in $(seq "$REPEAT"); do
		for handshakes in 0 "${HANDSHAKES:-500}"; do
			"${first[@]}" "$TANDEM_BIN" load --target tls://127.0.0.11 --bind 127.0.0.21:5061 "${client[@]}" --answer-at udp://127.0.0.22:5060 \
				--from sip:alice@a.example.com --to sip:bob@b.example.net --hops 2 --ring 40ms --hold 200ms \
				--rate "${RATE:-200}" --duration "${SECONDS_LOAD:-10}s" --handshakes "$handshakes" --max-failed 1000000 --quiet --json |
				jq -c --argjson h "$handshakes" '. + {proxy: "tandem", handshakes_offered: $h}' >> "$lines"
			sleep 1
		done
	done
	show '.[] | "\(.handshakes_offered) handshakes/s: \(.messages.handshakes) done in \(.seconds) s (99 % within \(.latency.handshake.p99_ms // 0) ms), \(.rate) calls/s: INVITE to 180 \(.latency.invite_to_180.p50_ms), p99 \(.latency.invite_to_180.p99_ms) ms; BYE to 200 \(.latency.bye_to_200.p50_ms), p99 \(.latency.bye_to_200.p99_ms) ms; \(.failed) failed; the generator was late by \(.latency.late.p99_ms) ms (p99)"'
}

# Processor time a call with few and many peers, and served domains, each with a certificate. Ours alone.
point_growth() {
	local n kind profiles=() certs=$OUT/domains rate=${RATE:-1000}
	mkdir -p "$certs"
	[ -s "$certs/key.pem" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$certs/key.pem" 2> /dev/null
	for n in $(seq 999); do
		[ -s "$certs/$n.pem" ] || openssl req -x509 -key "$certs/key.pem" -subj "/CN=d$n.example" -days 3650 \
			-addext "subjectAltName=DNS:d$n.example,URI:sip:d$n.example" -out "$certs/$n.pem" 2> /dev/null
	done
	for kind in PEERS DOMAINS; do
		for n in 1 100 1000; do
			[ "$kind$n" != DOMAINS1 ] || continue # the same as one peer
			printf '. %q\nPROXY=%s\nexport TANDEM_%s=%s TANDEM_DOMAIN_CERTS=%q\n' "$bench/tandem.env" "$kind-$n" "$kind" "$n" "$certs" > "profiles/$kind-$n.env"
			profiles+=("profiles/$kind-$n.env")
		done
	done
	RATE=$rate ./compare.sh trunk "${profiles[@]}" >> "$lines"
	against PEERS-1
}

# Twice the rate that point_capacity found (CAPACITY): what still succeeds of it.
point_overload() {
	: "${CAPACITY:?give the calls a second that capacity found}"
	MAX_OTHER='' RATE=$((2 * CAPACITY)) ./compare.sh trunk "$bench/tandem.env" >> "$lines"
	show "map(\"\(.proxy): \(.per_s) of \(.rate) calls/s offered, \(.per_s * 100 / $CAPACITY | round) percent of the capacity\")[]"
}

# Processor time a call over TLS over SCTP, beside TLS over TCP. Ours alone.
point_sctp() {
	local trunk profiles=()
	for trunk in tls tls-sctp; do
		printf '. %q\nPROXY=%s\nexport TANDEM_TRUNK=%s\n' "$bench/tandem.env" "$trunk" "$trunk" > "profiles/$trunk.env"
		profiles+=("profiles/$trunk.env")
	done
	RATE=${RATE:-500} ./compare.sh trunk "${profiles[@]}" >> "$lines"
	against tls
}

"point_$1"
echo "lines: $lines"
