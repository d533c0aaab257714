package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand prints what this binary is.
type versionCommand struct{}

// Help is shown by `tandem version --help`.
func (*versionCommand) Help() string {
	return `Example:

  tandem version`
}

// Run prints one line.
func (*versionCommand) Run() error {
	fmt.Printf("tandem %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// release is set by builds that have no commit at hand: -ldflags "-X main.release=v1.2.3".
var release string

// version is that of the module as it was built: a release, or the commit.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
