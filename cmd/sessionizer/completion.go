package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that completion knows.
func shells() []string { return []string{"bash", "fish", "powershell", "zsh"} }

// completionCommand takes the place of cobra's own, which answers a shell that
// it does not know with its help on standard output and exit code 0.
func (a *app) completionCommand() *cobra.Command {
	return command(&cobra.Command{
		Use:   "completion " + strings.Join(shells(), "|"),
		Short: "Write a completion script for a shell",
		Example: "  source <(sessionizer completion bash)\n" +
			"  sessionizer completion fish > ~/.config/fish/completions/sessionizer.fish",
		ValidArgs: shells(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(shells(), args[0]) {
				return nil
			}
			found := "nothing"
			if len(args) > 0 {
				found = fmt.Sprintf("%q", strings.Join(args, " "))
			}
			return fmt.Errorf("completion: want one of %s, found %s", strings.Join(shells(), ", "), found)
		},
	}, func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.stdout, true)
		case "fish":
			return root.GenFishCompletion(a.stdout, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.stdout)
		}
		return root.GenZshCompletion(a.stdout)
	})
}
