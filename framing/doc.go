// Package framing finds where one SIP message ends and the next begins in a stream of bytes.
//
// It follows RFC 3261, Section 18.3 for messages and RFC 5626, Section 3.5.1 for keepalives. It is
// strict, because two elements that disagree about where a message ends can be made to disagree
// about who sent it: lines end in CRLF and nothing else, Content-Length is there exactly once and
// holds digits and nothing else, and what does not begin like SIP is refused with its first bytes.
package framing
