package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// readTrust reads which certificates of peers are believed.
func (v value) readTrust(t *Trust) {
	v.fields([]field{
		{"ca", func(v value) {
			for _, item := range v.items() {
				t.CA = append(t.CA, item.readCA()...)
			}
		}},
		{"crl", func(v value) {
			for _, item := range v.items() {
				if list := item.readCRL(); list != nil {
					t.CRL = append(t.CRL, list)
				} else {
					t.CRL = append(t.CRL, nil) // taken out below; keeps the places in step
				}
			}
		}},
		{"cn_fallback", func(v value) { v.readBool(&t.CNFallback) }},
		{"eku", func(v value) {
			word := "compatible"
			v.readOneOf(&word, "compatible", "strict")
			t.StrictEKU = word == "strict"
		}},
		{"must_staple", func(v value) { v.readBool(&t.MustStaple) }},
		{"max_names", func(v value) { v.readInt(&t.MaxNames, 1, 65536) }},
	})
	v.checkCRLs(t)
}

// readCA reads the certificates of one file of trust anchors.
func (v value) readCA() []*x509.Certificate {
	data, path, ok := v.readFile()
	if !ok {
		return nil
	}
	certs, problem := parseCertificates(data)
	if problem != "" {
		v.problem("%s %s: give a PEM file of the certification authorities to trust", path, problem)
		return nil
	}
	good := 0
	for _, c := range certs {
		if !v.r.now.After(c.NotAfter) {
			good++
		}
	}
	switch {
	case good == 0:
		v.problem("%s expired on %s: give the certification authority's current certificate", path, date(certs[0].NotAfter))
		return nil
	case good < len(certs):
		v.r.warnAt(v.key, "%s: %d of its %d certificates have expired", path, len(certs)-good, len(certs))
	}
	return certs
}

// readCRL reads one revocation list, PEM or DER.
func (v value) readCRL() *x509.RevocationList {
	data, path, ok := v.readFile()
	if !ok {
		return nil
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			v.problem("%s holds a %s: give a certificate revocation list, PEM or DER", path, block.Type)
			return nil
		}
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		v.problem("%s is no certificate revocation list: give one, PEM or DER", path)
		return nil
	}
	if !list.NextUpdate.IsZero() && v.r.now.After(list.NextUpdate) {
		v.r.warnAt(v.key, "%s should have been replaced on %s: certificates of its issuer may be refused until it is", path, date(list.NextUpdate))
	}
	return list
}

// checkCRLs finds lists that claim to be of a trusted authority and aren't signed by it.
func (v value) checkCRLs(t *Trust) {
	kept := t.CRL[:0]
	for i, list := range t.CRL {
		if list == nil {
			continue
		}
		kept = append(kept, list)
		named, signed := false, false
		for _, ca := range t.CA {
			if bytes.Equal(ca.RawSubject, list.RawIssuer) {
				named = true
				signed = signed || list.CheckSignatureFrom(ca) == nil
			}
		}
		if named && !signed {
			v.r.problemAt(index(v.key+".crl", i), "its signature is not that of %q in trust.ca: get the list from the authority again", list.Issuer)
		}
	}
	t.CRL = kept
}

// parseCertificates reads all certificates of a PEM file, or says what is the matter with it.
func parseCertificates(data []byte) (certs []*x509.Certificate, problem string) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, "holds a certificate that cannot be parsed (" + err.Error() + ")"
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, "has no certificate in it"
	}
	return certs, ""
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
