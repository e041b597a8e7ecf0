package main

import "github.com/spf13/cobra"

// commands is every subcommand, each in a file of its own.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.completionCommand(),
		a.configCommand(),
		a.demoCommand(),
		a.dlqCommand(),
		a.explainCommand(),
		a.runCommand(),
		a.schemaCommand(),
		a.stampCommand(),
		a.testCommand(),
		a.topicsCommand(),
		a.verifyCommand(),
		a.versionCommand(),
	}
}
