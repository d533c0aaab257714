package framing_test

import (
	"fmt"

	"github.com/tandem-sip/tandem/framing"
)

func ExampleDecoder() {
	var d framing.Decoder
	var buf []byte
	for _, piece := range []string{ // as a connection may deliver them
		"\r\n\r\nOPTIONS sip:bob@example.net SIP/2.0\r\nContent-Le",
		"ngth: 5\r\n\r\nhelloBYE sip:bob@example.net",
		" SIP/2.0\r\nl: 0\r\n\r\n",
	} {
		buf = append(buf, piece...)
		for {
			kind, n, err := d.Next(buf)
			if err != nil {
				fmt.Println(err)
				return
			}
			if kind == framing.More {
				break
			}
			fmt.Printf("%v of %d bytes\n", kind, n)
			buf = buf[n:]
		}
	}
	// Output:
	// pong of 2 bytes
	// ping of 2 bytes
	// message of 63 bytes
	// message of 41 bytes
}
