package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessionizer/internal/config"
)

// The exit codes of every command.
const (
	exitFine   = 0
	exitFailed = 1 // it ran, and failed or found a violation
	exitUsage  = 2 // wrong usage or configuration
)

// process is what a command has of the process around it.
type process struct {
	environ []string
	halt    <-chan struct{} // closed by the second signal: stop at once; nil: never
	stdin   io.Reader
	stdout  io.Writer // data
	stderr  io.Writer // everything for people
}

// app is a process with the flags that all commands share.
type app struct {
	process
	configFile string
	set        []string
	logLevel   string
	logFormat  string
}

// usageError is a command line or configuration that cannot be run.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// ranError marks what a command returned after it had begun; cobra's own
// errors, which are all about the command line, do not have the mark.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

// run is the program apart from the process: it returns the exit code.
func run(ctx context.Context, args []string, p process) int {
	a := &app{process: p}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...)) // not nil: cobra would take those of the process
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	return a.exitCode(root.ExecuteContext(ctx))
}

// exitCode tells people of an error and the shell what kind it was.
func (a *app) exitCode(err error) int {
	var faults config.Faults
	var usage usageError
	var ran ranError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &faults):
		what := "1 fault"
		if len(faults) > 1 {
			what = fmt.Sprintf("%d faults", len(faults))
		}
		fmt.Fprintf(a.stderr, "sessionizer: the configuration has %s:\n%v\n", what, faults)
		return exitUsage
	case errors.As(err, &usage), !errors.As(err, &ran):
		fmt.Fprintf(a.stderr, "sessionizer: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(a.stderr, "sessionizer: %v\n", err)
	return exitFailed
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sessionizer",
		Short: "Gives every customer event its session, exactly once",
		Long: "Sessionizer reads customer events from Kafka, gives each its session, and writes them to\n" +
			"another topic with one Visit Ended record for each session: never lost, never twice.",
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(a.stderr)
			if err := cmd.Help(); err != nil {
				return err
			}
			return usageError{errors.New("which command?")}
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "",
		"configuration `FILE` (default "+config.DefaultFile+" if it is there)")
	flags.StringArrayVar(&a.set, "set", nil,
		"`KEY=VALUE` of the configuration, after file and environment; repeatable")
	flags.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error")
	flags.StringVar(&a.logFormat, "log-format", "", "console or json (default: console on a terminal)")
	root.AddCommand(a.commands()...)
	return root
}

// command gives a subcommand its work and marks what comes of it.
func command(c *cobra.Command, work func(cmd *cobra.Command, args []string) error) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := work(cmd, args); err != nil {
			return ranError{err}
		}
		return nil
	}
	return c
}

// wantArgs says what is missing in words, with an example. A negative n: one or more.
func wantArgs(n int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s: nothing is named: want %s", cmd.Name(), want)
		case n >= 0 && len(args) > n:
			return fmt.Errorf("%s: %q is one too many: want %s", cmd.Name(), args[n], want)
		}
		return nil
	}
}

// load reads the configuration for a command and makes its logger, which
// writes to standard error. Offline commands speak to no broker.
func (a *app) load(offline bool) (*config.Config, *zap.Logger, error) {
	c, warnings, err := config.Load(a.sources(offline))
	a.warn(warnings)
	if err != nil {
		return nil, nil, err
	}
	return c, newLogger(c.Log, a.stderr), nil
}

func (a *app) warn(warnings config.Faults) {
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "sessionizer: warning: %v\n", w)
	}
}

// sources is where the configuration comes from.
func (a *app) sources(offline bool) config.Sources {
	set := a.set[:len(a.set):len(a.set)]
	if a.logLevel != "" {
		set = append(set, "log.level="+a.logLevel)
	}
	if a.logFormat != "" {
		set = append(set, "log.format="+a.logFormat)
	}
	return config.Sources{
		File: a.configFile, Set: set, Environ: a.environ, Offline: offline,
		ReadFile: os.ReadFile, Hostname: os.Hostname,
	}
}
