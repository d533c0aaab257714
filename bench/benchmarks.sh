#!/usr/bin/env bash
# Prints the Go benchmarks of all rooms, six runs each, for benchstat. To renew the baseline that CI compares with:
#   bench/benchmarks.sh > bench/baseline.txt
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
mapfile -t packages < <(git grep -lE '^func Benchmark' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
[ ${#packages[@]} -gt 0 ] || { echo "no package has a benchmark" >&2; exit 1; }
echo "go: $(go env GOVERSION)"
# One package after the other, so that none takes the other's processor. The start of a proxy for a thousand
# domains takes seconds each time; its test has the bounds.
go test -run '^$' -bench . -skip '^BenchmarkThousandDomains$' -benchmem -benchtime 50ms -count 6 -p 1 "${packages[@]}" |
	{ grep -vE '^(PASS$|ok )' || true; }
