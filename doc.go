// Package tandem is the root of a SIP proxy and library that connects SIP domains: requests travel in both
// directions over one mutually authenticated connection, as RFC 5923 describes.
//
// It holds no code. Its directories are rooms with one task each; layers.txt says which room may import
// which, and the tests beside this file hold that and the other rules of the house.
package tandem
