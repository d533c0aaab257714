// Package interop runs the proxy against programs that the project did not write: SIPp as the agents, and
// Kamailio in the place of one of two proxies.
//
// Its tests carry the build tag interop and need the programs sipp and kamailio; .ci/run installs them.
// README.md says what is shown, and how to run one case by hand.
package interop
