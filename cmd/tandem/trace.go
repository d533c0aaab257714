package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/tandem-sip/tandem/internal/admin/api"
	"github.com/tandem-sip/tandem/internal/capture"
)

// traceCommand shows the messages of calls.
type traceCommand struct {
	operator
	CallID string `name:"call-id" placeholder:"ID" help:"The call with this Call-ID."`
	User   string `placeholder:"USER" help:"Calls with this user in From, To or the Request-URI."`
	Peer   string `placeholder:"PEER" help:"Calls by this peer: its name, an identity that it has proved, or its IP address."`
	Once   bool   `help:"Show what is kept, and end."`
	Limit  int    `default:"10" placeholder:"N" help:"With --once: how many calls are shown at most, the latest (${default})."`
	Pcap   string `placeholder:"FILE" help:"Write the messages, decrypted, as a capture (pcapng); - is standard output, without the ladder."`

	shown   map[uint64]bool // numbers of the messages that were kept, which may come again
	pcap    *capture.Writer
	ladders ladders
}

// Help is shown by `tandem trace --help`.
func (*traceCommand) Help() string {
	return `Follows until it is interrupted: of the call with a Call-ID it first shows what is kept, of others what comes from now on. Each request that is sent says over which connection it goes, and why. Answers to challenges, passwords and media keys are overwritten with x, unless trace.credentials in the configuration says otherwise.

Examples:

  tandem trace --call-id a84b4c76e66710@pc33.example.com
  tandem trace --peer partner --pcap partner.pcapng
  tandem trace --user bob --once
  tandem trace --pcap - | tshark -r -`
}

// Run shows them.
func (c *traceCommand) Run() (err error) {
	client, ctx, stop, err := c.client()
	if err != nil {
		return err
	}
	defer stop()
	if c.Pcap != "" {
		file := os.Stdout
		if c.Pcap != "-" {
			if file, err = os.OpenFile(c.Pcap, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil { // what people said is in it
				return &usageError{err}
			}
			defer func() { err = errors.Join(err, file.Close()) }()
		}
		if c.pcap, err = capture.NewWriter(file); err != nil {
			return err
		}
	}
	c.shown = make(map[uint64]bool)
	c.ladders = newLadders(os.Stdout, terminalWidth())
	if c.Once {
		return c.plainly(c.kept(ctx, client))
	}
	return c.plainly(c.follow(ctx, client))
}

// kept shows what is kept of the calls that are asked for, the oldest first.
func (c *traceCommand) kept(ctx context.Context, client *api.Client) error {
	ids := []string{c.CallID}
	if c.CallID == "" {
		q := url.Values{"limit": {fmt.Sprint(c.Limit)}}
		for name, v := range map[string]string{"user": c.User, "peer": c.Peer} {
			if v != "" {
				q.Set(name, v)
			}
		}
		var page api.Page[api.Call]
		if err := fetch(ctx, client, "/v1/calls", q, &page); err != nil {
			return err
		}
		if len(page.Items) == 0 {
			return errors.New("no such call is kept")
		}
		ids = ids[:0]
		for i := range page.Items {
			ids = append([]string{page.Items[i].CallID}, ids...)
		}
	}
	for _, id := range ids {
		if err := c.ladder(ctx, client, id); err != nil {
			return err
		}
	}
	return nil
}

// ladder shows what is kept of one call.
func (c *traceCommand) ladder(ctx context.Context, client *api.Client, id string) error {
	var t api.Trace
	if err := fetch(ctx, client, "/v1/trace", url.Values{"call_id": {id}, "raw": {"true"}}, &t); err != nil {
		return err
	}
	for i := range t.Messages {
		c.shown[t.Messages[i].Number] = true
		if err := c.show(&t.Messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// follow shows what comes.
func (c *traceCommand) follow(ctx context.Context, client *api.Client) error {
	q := url.Values{"raw": {"true"}}
	for name, v := range map[string]string{"call_id": c.CallID, "user": c.User, "peer": c.Peer} {
		if v != "" {
			q.Set(name, v)
		}
	}
	// What is kept is asked for when the stream stands, so that nothing is lost in between.
	begun := func() error {
		fmt.Fprintln(os.Stderr, "following; interrupt to end")
		if c.CallID == "" {
			return nil
		}
		err := c.ladder(ctx, client, c.CallID)
		if refused, ok := errors.AsType[*api.Error](err); ok && refused.Code == api.NotFound {
			return nil // it may begin yet
		}
		return err
	}
	return client.Stream(ctx, "/v1/trace/follow", q, begun, func(event string, data []byte) error {
		switch event {
		case "message":
			var m api.TraceMessage
			if err := json.Unmarshal(data, &m); err != nil {
				return err
			}
			if c.shown[m.Number] {
				return nil
			}
			return c.show(&m)
		case "missed":
			var missed api.Missed
			if err := json.Unmarshal(data, &missed); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "%d messages are missing here: so much came that they were left out\n", missed.Missed)
		}
		return nil
	})
}

// show shows one message.
func (c *traceCommand) show(m *api.TraceMessage) error {
	if c.pcap != nil {
		if err := c.capture(m); err != nil {
			return err
		}
		if c.Pcap == "-" {
			return nil
		}
	}
	if c.JSON {
		line, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = fmt.Println(string(line))
		return err
	}
	return c.ladders.show(m)
}

// capture writes a message into the capture.
func (c *traceCommand) capture(m *api.TraceMessage) error {
	local, err := netip.ParseAddrPort(m.Local)
	if err != nil {
		return err
	}
	remote, err := netip.ParseAddrPort(m.Remote)
	if err != nil {
		return err
	}
	out := capture.Message{Time: m.Time, From: remote, To: local, Stream: m.Transport != "udp", Payload: m.Raw, Comment: strings.TrimSpace(m.Direction + " " + why(m))}
	if m.Direction == "sent" {
		out.From, out.To = local, remote
	}
	return c.pcap.Write(out)
}

// why says over which connection a message goes, and of a request that was sent for which reason.
func why(m *api.TraceMessage) string {
	text := m.Transport
	if m.Connection != 0 {
		text += fmt.Sprintf(" %d", m.Connection)
	}
	if d := m.Decision; d != nil {
		switch {
		case strings.HasPrefix(d.Reason, d.Action):
			text += ", " + d.Reason
		case d.Reason == "not_tls":
			text += ", " + d.Action
		default:
			text += ", " + d.Action + ": " + d.Reason
		}
	}
	if m.Problem != "" {
		text += ", unusable: " + m.Problem
	}
	return text
}

// fetch asks for a path.
func fetch(ctx context.Context, client *api.Client, path string, q url.Values, into any) error {
	body, _, err := client.Get(ctx, path, q)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// usualWidth is that of a terminal, where none is known.
const usualWidth = 120

// terminalWidth returns how many columns standard output has.
func terminalWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		return w
	}
	return usualWidth
}
