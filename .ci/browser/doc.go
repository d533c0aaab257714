// Package browser tests the dashboard in a real browser, Debian's chromium without a window, against the real binary.
//
// It is a module of its own, so that the product does not have the modules that drive a browser. `.ci/run dashboard`
// runs it; SCREENSHOTS names a directory for pictures of all views, in both themes and as on a phone.
package browser
