// Package sip parses, edits and writes SIP messages without any input or output of its own.
//
// A message is its bytes: one immutable string as it was received, and an index of where each
// header field line stands. Fields are parsed when they are touched. What an [Edit] does not change
// is written byte for byte as it came, with its folding, spacing, compact names and unknown header
// fields. What a message looks like is in RFC 3261, Section 7, its grammar in RFC 3261, Section 25,
// the header fields in RFC 3261, Section 20 and URIs in RFC 3261, Section 19.1.
//
// Parse accepts what can be indexed and cut into header section and body; [Message.Validate] then
// judges the fields that an element on the way must understand. A message that failed either may
// still be answered with [AppendResponse], as far as it was understood.
package sip
