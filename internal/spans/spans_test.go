package spans_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/node"
	"github.com/tandem-sip/tandem/internal/spans"
	"github.com/tandem-sip/tandem/sip"
	"github.com/tandem-sip/tandem/sipaddr"
	"github.com/tandem-sip/tandem/siptest"
)

// receiver takes spans as a collector does.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var export collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(data, &export); err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, rs := range export.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				r.spans = append(r.spans, ss.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// value is an attribute as text.
func value(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.GetKey() == key {
			switch v := kv.GetValue().GetValue().(type) {
			case *common.AnyValue_StringValue:
				return v.StringValue
			case *common.AnyValue_IntValue:
				return fmt.Sprint(v.IntValue)
			default:
				return kv.GetValue().String()
			}
		}
	}
	return ""
}

// TestSpans: of a request that passes a collector gets the request, the look-up, the connection with the decision, and
// the response; of none when none is chosen.
func TestSpans(t *testing.T) {
	t.Parallel()
	for _, ratio := range []float64{1, 0} {
		r := newReceiver(t)
		tracer, err := spans.New(t.Context(), spans.Config{Endpoint: r.URL + "/v1/traces", Ratio: ratio, Version: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		callIDs := passes(t, tracer)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if ratio == 0 {
			if len(r.spans) != 0 {
				t.Errorf("%d spans though none is chosen", len(r.spans))
			}
			continue
		}
		if len(r.spans) != 3*len(callIDs) {
			t.Fatalf("%d spans: %v", len(r.spans), r.spans)
		}
		actions := ""
		for _, id := range callIDs {
			root := r.find(t, func(s *otlp.Span) bool { return value(s.GetAttributes(), "sip.call_id") == id })
			if root.GetName() != "MESSAGE" || len(root.GetParentSpanId()) != 0 || root.GetKind() != otlp.Span_SPAN_KIND_SERVER ||
				value(root.GetAttributes(), "sip.status") != "200" || len(root.GetEvents()) != 1 || root.GetEvents()[0].GetName() != "response" {
				t.Errorf("request: %v", root)
			}
			for _, name := range []string{"resolve", "connect"} {
				s := r.find(t, func(s *otlp.Span) bool {
					return s.GetName() == name && string(s.GetParentSpanId()) == string(root.GetSpanId()) && string(s.GetTraceId()) == string(root.GetTraceId())
				})
				if s.GetStartTimeUnixNano() < root.GetStartTimeUnixNano() || s.GetEndTimeUnixNano() > root.GetEndTimeUnixNano() || s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
					t.Errorf("%s is not within its request: %v", name, s)
				}
				if name == "connect" {
					actions += value(s.GetAttributes(), "tandem.decision.action") + " " + value(s.GetAttributes(), "tandem.decision.reason") + " " +
						value(s.GetAttributes(), "tandem.decision.connection") + "; "
				}
			}
		}
		if want := "dial not_tls 1; reuse not_tls 1; "; actions != want {
			t.Errorf("decisions: %s, want %s", actions, want)
		}
		// An id that a peer has written is not taken over.
		for _, s := range r.spans {
			if strings.HasPrefix(fmt.Sprintf("%x", s.GetTraceId()), "4bf92f3577b34da6") {
				t.Errorf("the id of a peer: %v", s)
			}
		}
	}
}

func (r *receiver) find(t *testing.T, is func(*otlp.Span) bool) *otlp.Span {
	t.Helper()
	for _, s := range r.spans {
		if is(s) {
			return s
		}
	}
	t.Fatalf("there is no such span among %v", r.spans)
	return nil
}

// passes has two requests pass a proxy, and returns their Call-IDs.
func passes(t *testing.T, tracer *spans.Tracer) []string {
	t.Helper()
	at := siptest.Loopback(t)
	agent := siptest.NewPeer(t, siptest.PeerConfig{Name: "agent"})
	agent.Listen(sipaddr.UDP, 5060)
	far := siptest.NewPeer(t, siptest.PeerConfig{Name: "far", Handle: siptest.AnswerAll})
	far.Listen(sipaddr.TCP, 5060)
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	yaml := fmt.Sprintf("listen: [udp://%[1]s:5060, tcp://%[1]s:5060]\naccess: {relay_from: [%[2]s]}\nroutes: [{to: \"sip:%[3]s:5060;transport=tcp\"}]\n",
		at, agent.Addr(), far.Addr())
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, node.Options{Trace: tracer.Begin})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	// Ends when this function does.
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var ids []string
	for range 2 {
		conn := agent.Dial(sipaddr.UDP, n.Listening()[0].Addr)
		req := conn.Request(sip.MethodMessage, "sip:bob@other.example")
		req.Headers = append(req.Headers, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		conn.SendRequest(req)
		agent.ExpectResponse(200)
		ids = append(ids, req.CallID)
	}
	return ids
}
