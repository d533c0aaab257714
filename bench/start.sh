#!/usr/bin/env bash
# Runs one proxy in the foreground for a role of the performance lab: turns its LAB_* environment into a
# settings file and becomes "tandem serve". README.md says how the lab is told to use it.
#   TANDEM_BIN    the program (default: ../tandem, beside this directory)
#   TANDEM_LOG    log level (default: warn)
#   TANDEM_TRUNK  what the proxies speak to each other in place of tls: tls-sctp
#   TANDEM_PEERS, TANDEM_DOMAINS   how many peers and served domains there are (default: 1 each); the others are
#                 in nobody's way but by their number. TANDEM_DOMAIN_CERTS has their key.pem, 1.pem, 2.pem ...
set -euo pipefail
: "${LAB_ROLE:?}" "${LAB_IP:?}" "${LAB_NEXT:?}" "${LAB_RUN:?}" "${LAB_DOMAIN:?}"
: "${LAB_TRANSPORTS:=udp tls}" "${LAB_MODE:=stateful}" "${LAB_ALIAS:=1}"
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
: "${TANDEM_BIN:=$here/../tandem}" "${TANDEM_LOG:=warn}" "${TANDEM_TRUNK:=tls}" "${TANDEM_PEERS:=1}" "${TANDEM_DOMAINS:=1}"
[ "$TANDEM_DOMAINS" = 1 ] || : "${TANDEM_DOMAIN_CERTS:?}"
[ "$LAB_MODE" = stateful ] || { echo "start.sh: there is no $LAB_MODE mode" >&2; exit 2; }

config=$LAB_RUN/$LAB_ROLE.yaml
{
	echo 'listen:'
	for transport in $LAB_TRANSPORTS; do
		port=5060
		[ "$transport" != tls ] || port=5061
		echo "  - $transport://$LAB_IP:$port"
	done
	[ "$TANDEM_TRUNK" = tls ] || echo "  - $TANDEM_TRUNK://$LAB_IP:5061"
	echo 'dns: ["127.0.0.1:9"]' # nobody: the lab's names are in a hosts file
	echo 'domains:'
	echo "  - name: $LAB_DOMAIN"
	case " $LAB_TRANSPORTS " in *' tls '*)
		echo "    certificate: $LAB_CERT"
		echo "    key: $LAB_KEY"
		for ((i = 1; i < TANDEM_DOMAINS; i++)); do
			echo "  - {name: d$i.example, certificate: $TANDEM_DOMAIN_CERTS/$i.pem, key: $TANDEM_DOMAIN_CERTS/key.pem}"
		done
		echo 'trust:'
		echo "  ca: [$LAB_CA]" ;;
	esac
	# The lab's agents and proxies are all on loopback. LAB_NEXT names the other proxy by its address, so the
	# name that it must prove is said here.
	cat <<-X
	access:
	  relay_from: [127.0.0.0/8]
	log:
	  level: $TANDEM_LOG
	X
	other=b.example.net other_ip=127.0.0.12
	[ "$LAB_DOMAIN" = a.example.com ] || other=a.example.com other_ip=127.0.0.11
	reuse=accept
	[ "$LAB_ALIAS" = 1 ] || reuse=decline
	cat <<-X
	peers:
	  - name: other
	    identities: [$other]
	    addresses: [$other_ip/32]
	    reference_identity: $other
	    alias: $reuse
	  - name: load # not pinged: it holds thousands of connections, and Kamailio is set to probe none either
	    identities: [client.example.org]
	    addresses: [127.0.0.22/32]
	    reference_identity: client.example.org
	    keepalive: 0s
	X
	for ((i = 1; i < TANDEM_PEERS; i++)); do
		ip=10.1.$((i / 250)).$((i % 250 + 1))
		echo "  - {name: peer-$i, identities: [peer-$i.example], addresses: [$ip/32], reference_identity: peer-$i.example}"
	done
	echo 'routes:'
	for ((i = 1; i < TANDEM_DOMAINS; i++)); do
		echo "  - {match: {domain: d$i.example}, to: \"sip:10.2.$((i / 250)).$((i % 250 + 1))\"}"
	done
	echo "  - to: ${LAB_NEXT/transport=tls/transport=$TANDEM_TRUNK}"
} > "$config"

# Inside a dialog the proxies go by each other's names, from Record-Route, and those are in no DNS. As root a
# hosts file of its own is put over the system's for this process alone; otherwise /etc/hosts must have them.
if getent hosts a.example.com b.example.net > /dev/null; then
	exec "$TANDEM_BIN" serve --config "$config"
fi
hosts=$LAB_RUN/$LAB_ROLE.hosts
printf '127.0.0.1 localhost\n127.0.0.11 a.example.com\n127.0.0.12 b.example.net\n' > "$hosts"
# shellcheck disable=SC2016
exec unshare --mount bash -c 'mount --bind "$1" /etc/hosts && exec "$2" serve --config "$3"' \
	start.sh "$hosts" "$TANDEM_BIN" "$config"
