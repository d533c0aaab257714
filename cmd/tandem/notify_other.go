//go:build !linux

package main

// monotonic returns nothing: there is no systemd here.
func monotonic() string { return "" }
