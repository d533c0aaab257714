package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strconv"
)

// fault is a refusal in the making: everything of a VerifyError but whose certificate it is.
type fault struct {
	reason Reason
	text   string
	err    error
}

// describe names a certificate for an error text: by its CN, else by the first name in it, else by
// its serial number.
func describe(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return quote(c.Subject.CommonName)
	case len(c.URIs) > 0:
		return quote(c.URIs[0].String())
	case len(c.DNSNames) > 0:
		return quote(c.DNSNames[0])
	case c.SerialNumber != nil:
		return "serial number " + cut(c.SerialNumber.Text(16), 64)
	}
	return "unknown holder"
}

// describeName names a CA for an error text.
func describeName(n pkix.Name) string {
	if n.CommonName != "" {
		return quote(n.CommonName)
	}
	return quote(n.String())
}

// plain is quote without the quotes where nothing in s needs them.
func plain(s string) string {
	q := quote(s)
	if s != "" && q == strconv.Quote(s) && isPrintable(s) {
		return s
	}
	return q
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// cut shortens s to most bytes.
func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
