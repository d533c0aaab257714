//go:build race

package sip

// poisoning says that released Messages are spoiled rather than used again.
const poisoning = true
