// Package deploy holds what puts the proxy to work and keeps an eye on it: sample configurations, units and packages,
// alert rules and a dashboard. There is no code in it but the tests of these files.
//
// docs/deploy.md says how they are used. The tests that need other people's programs carry the build tag deploy;
// .ci/run installs the programs.
package deploy
