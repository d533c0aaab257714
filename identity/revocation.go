package identity

import (
	"crypto/x509"
	"time"
)

type revocations struct{}

func newRevocations(list []*x509.RevocationList) (revocations, error) { return revocations{}, nil }

func (r revocations) check(path []*x509.Certificate, now time.Time) *fault { return nil }
