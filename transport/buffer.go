package transport

import "sync"

// buffer is a byte buffer out of the pool. Whoever has taken it out owns it until it is put back.
type buffer struct {
	b    []byte
	ends []int // of a connection over SCTP: where each message in b ends
}

const (
	bufferSize    = 16 << 10  // of a new buffer
	maxPooledSize = 256 << 10 // a buffer that grew larger is left to the garbage collector
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) {
	if cap(b.b) <= maxPooledSize {
		b.b, b.ends = b.b[:0], b.ends[:0]
		buffers.Put(b)
	}
}

// grow makes room for n more bytes at least, doubling what is there.
func (b *buffer) grow(n int) {
	if cap(b.b)-len(b.b) >= n {
		return
	}
	nb := make([]byte, len(b.b), max(2*cap(b.b), len(b.b)+n))
	copy(nb, b.b)
	b.b = nb
}
