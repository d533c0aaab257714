// Command tandem is a SIP proxy that sends requests in both directions over one mutually authenticated
// connection, as RFC 5923 describes.
//
// Each subcommand has a file of its own. This one reads the flags, calls the subcommand, and sets the
// exit code: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tandem-sip/tandem/conformance"
	"github.com/tandem-sip/tandem/internal/config"
	"github.com/tandem-sip/tandem/internal/load"
	"github.com/tandem-sip/tandem/internal/manual"
)

// commands is the command line.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run the proxy."`
	Lab      labCommand      `cmd:"" help:"Show two proxies that call each other over one connection, on this machine."`
	Check    checkCommand    `cmd:"" help:"Probe a SIP element for what RFC 5923 and RFC 5922 ask of it."`
	Load     loadCommand     `cmd:"" help:"Offer calls to a SIP element at a rate, and check every answer."`
	Validate validateCommand `cmd:"" help:"Check a configuration; start nothing."`

	Status       statusCommand       `cmd:"" help:"Say how a running proxy does."`
	Connections  connectionsCommand  `cmd:"" help:"List the connections of a running proxy, or act on one."`
	Aliases      aliasesCommand      `cmd:"" help:"List the rows of its alias tables."`
	Peers        peersCommand        `cmd:"" help:"List its peers, and what is the matter with them."`
	Transactions transactionsCommand `cmd:"" help:"List its transactions."`
	Explain      explainCommand      `cmd:"" help:"Say which connection a request would take, and why."`
	Trace        traceCommand        `cmd:"" help:"Draw the ladder of a call, as it happens or as it was."`
	Reload       reloadCommand       `cmd:"" help:"Have it read its configuration again."`
	Drain        drainCommand        `cmd:"" help:"Have it finish what it has begun, and stop."`
	LogLevel     logLevelCommand     `cmd:"" help:"Show how much it logs, or change that for a time."`
	Upgrade      upgradeCommand      `cmd:"" help:"Have a new process take its place, with no call lost."`

	Completion completionCommand `cmd:"" help:"Print what has a shell complete the command line."`
	Man        manCommand        `cmd:"" help:"Print or write the manual."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	var cli commands
	parser := kong.Must(&cli, kong.Name("tandem"),
		kong.Description("A SIP proxy that sends requests in both directions over one authenticated connection (RFC 5923)."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}))
	if len(os.Args) > 1 && os.Args[1] == manual.CompleteCommand {
		if err := complete(parser.Model, os.Args[2:]); err != nil {
			os.Exit(exitFailed)
		}
		return
	}
	ctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "tandem: %v\nRun `tandem --help`, or `tandem COMMAND --help`, for what can be said.\n", err)
		os.Exit(exitUsage)
	}
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

// exitCode tells wrong configurations from other failures.
func exitCode(err error) int {
	var bad *config.Error
	var settings *settingsError
	var usage *usageError
	if errors.As(err, &bad) || errors.As(err, &settings) || errors.As(err, &usage) || errors.Is(err, conformance.ErrUsage) ||
		errors.Is(err, load.ErrConfig) {
		return exitUsage
	}
	return exitFailed
}

// settingsError is a configuration that reads well and cannot be built.
type settingsError struct {
	file string
	err  error
}

// Error names the file, as all that is said about a configuration does.
func (e *settingsError) Error() string {
	text := e.err.Error()
	if strings.HasPrefix(text, e.file+":") {
		return text
	}
	return e.file + ": " + text
}

// Unwrap returns the cause.
func (e *settingsError) Unwrap() error { return e.err }
