// Command allocations compares what benchmarks allocate with a baseline, and fails when it has grown:
//
//	allocations BASELINE RESULTS
//
// Both files are what "go test -bench -benchmem" prints, several runs of each benchmark in one file. An amount has
// grown when the least of the new runs is above the most of the baseline's, so that one that wobbles between two
// values has not. Allocations are counted exactly; bytes may be 5 percent and 64 more, for tables that grow while
// a benchmark runs. A benchmark of the baseline that did not run is a failure too, or a new name would slip
// through. Times are benchstat's business.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"golang.org/x/perf/benchfmt"
)

// limits say, for each unit, how much is still no growth.
var limits = map[string]func(base float64) float64{
	"allocs/op": func(base float64) float64 { return base },
	"B/op":      func(base float64) float64 { return base*1.05 + 64 },
}

// key is one amount of one benchmark.
type key struct{ name, unit string }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: allocations BASELINE RESULTS")
		os.Exit(2)
	}
	var runs [2]map[key][]float64
	for i, name := range os.Args[1:] {
		var err error
		if runs[i], err = readFile(name); err != nil {
			fmt.Fprintln(os.Stderr, "allocations:", err)
			os.Exit(2)
		}
	}
	found := compare(runs[0], runs[1])
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

func readFile(name string) (map[key][]float64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	runs, err := read(f, name)
	return runs, errors.Join(err, f.Close())
}

// processors is what go test puts behind the name of a benchmark.
var processors = regexp.MustCompile(`-\d+$`)

// read collects the runs of each benchmark. A file without any is an error.
func read(from io.Reader, name string) (map[key][]float64, error) {
	runs := make(map[key][]float64)
	r := benchfmt.NewReader(from, name)
	for r.Scan() {
		result, ok := r.Result().(*benchfmt.Result)
		if !ok {
			continue // prose of go test
		}
		full := result.GetConfig("pkg") + " " + processors.ReplaceAllString(string(result.Name), "")
		for unit := range limits {
			if v, ok := result.Value(unit); ok {
				runs[key{full, unit}] = append(runs[key{full, unit}], v)
			}
		}
	}
	if r.Err() == nil && len(runs) == 0 {
		return nil, fmt.Errorf("%s has no benchmark", name)
	}
	return runs, r.Err()
}

// compare returns a line for each amount that has grown or is missing.
func compare(base, now map[key][]float64) (found []string) {
	for k, was := range base {
		switch is := now[k]; {
		case len(is) == 0:
			found = append(found, fmt.Sprintf("%s: no %s any more; renew the baseline if that is meant", k.name, k.unit))
		case slices.Min(is) > limits[k.unit](slices.Max(was)):
			found = append(found, fmt.Sprintf("%s: %v %s, and %v in the baseline", k.name, slices.Min(is), k.unit, slices.Max(was)))
		}
	}
	slices.Sort(found)
	return found
}
