package main

import (
	"net"
	"os"
)

// notify tells systemd a change of state, as sd_notify(3) describes, when it asked for that. Whether it
// listens changes nothing here, so there is no error.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // a leading @ is Linux's abstract name
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
