package identity

import (
	"crypto/x509"
	"time"
)

func (v *Verifier) checkStaple(path []*x509.Certificate, role Role, staple []byte, now time.Time) *fault {
	return nil
}
