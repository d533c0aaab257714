package resolve_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-sip/tandem/resolve"
	"github.com/tandem-sip/tandem/sip"
)

// A caller asks what is kept first, and DNS only when nothing is.
func Example() {
	r, err := resolve.New(resolve.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	u, err := sip.ParseURI("sip:bob@192.0.2.1:5070;transport=tcp")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, ok := r.Cached(u)
	if !ok {
		answer, err = r.Resolve(context.Background(), u) // blocks: not on the goroutine of a connection
	}
	switch {
	case errors.Is(err, resolve.ErrNotFound):
		fmt.Println("404")
	case errors.Is(err, resolve.ErrTemporary):
		fmt.Println("503")
	}
	for _, to := range answer.Addresses {
		fmt.Println(to) // try it, and say how it went: r.Worked(to) or r.Failed(to)
	}
	// Output: tcp:192.0.2.1:5070
}
