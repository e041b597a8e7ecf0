package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sessionizer/internal/config"
	"sessionizer/schemas"
)

func (a *app) configCommand() *cobra.Command {
	c := command(&cobra.Command{
		Use:   "config",
		Short: "Show the configuration in force, its keys, and the profiles",
		Long: "Shows what is in force and where each value comes from, every key there is, and the\n" +
			"profiles. No broker is asked, and no file that kafka.* names is read.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(a.stderr)
		if err := cmd.Help(); err != nil {
			return err
		}
		return usageError{errors.New("config: want show, reference or show-profile")}
	})
	c.AddCommand(a.configShowCommand(), a.configReferenceCommand(), a.configProfileCommand())
	return c
}

func (a *app) configShowCommand() *cobra.Command {
	var asJSON bool
	c := command(&cobra.Command{
		Use:   "show",
		Short: "Show every value in force, with where it comes from",
		Long: "Writes the configuration in force as a file would hold it, each value with where it comes\n" +
			"from: the file and line, the environment, --set, the profile, or the defaults. Secrets are\n" +
			"hidden. All faults are told at once, and the exit code is 2.",
		Args:    cobra.NoArgs,
		Example: "  sessionizer config show --set session.timeout=15m",
	}, func(*cobra.Command, []string) error {
		settings, warnings, err := config.Show(a.sources(true))
		a.warn(warnings)
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, settings)
		}
		return config.WriteSettings(a.stdout, settings)
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON: a list of key, value and origin")
	return c
}

func (a *app) configReferenceCommand() *cobra.Command {
	var asJSON bool
	c := command(&cobra.Command{
		Use:     "reference [KEY...]",
		Short:   "Explain every key: type, default, environment variable, meaning",
		Long:    "Explains every key there is, or those named, or those of a section.",
		Example: "  sessionizer config reference session.timeout time",
		Args:    cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, e := range config.Reference() {
				names = append(names, e.Key)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}, func(_ *cobra.Command, args []string) error {
		entries, err := referenceOf(args)
		switch {
		case err != nil:
			return err
		case asJSON:
			return writeJSON(a.stdout, entries)
		}
		return printReference(a.stdout, entries)
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON: a list of key, type, default, ...")
	return c
}

// referenceOf is the reference of the keys and sections that are named; of all
// where none is.
func referenceOf(names []string) ([]config.Entry, error) {
	all := config.Reference()
	if len(names) == 0 {
		return all, nil
	}
	var found []config.Entry
	for _, name := range names {
		before := len(found)
		for _, e := range all {
			if e.Key == name || strings.HasPrefix(e.Key, name+".") {
				found = append(found, e)
			}
		}
		if len(found) == before {
			return nil, usageError{fmt.Errorf("config reference: no such key: %q", name)}
		}
	}
	return found, nil
}

func printReference(w io.Writer, entries []config.Entry) error {
	for _, e := range entries {
		value, err := config.Text(e.Default)
		switch {
		case err != nil:
			return err
		case e.Default == nil:
			value = "the profile's"
		case e.Default == "":
			value = "none"
		}
		if _, err := fmt.Fprintf(w, "%s\n    %s\n    type: %s\n    default: %s\n    environment: %s\n",
			e.Key, e.About, e.Type, value, e.Environment); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) configProfileCommand() *cobra.Command {
	return command(&cobra.Command{
		Use:   "show-profile NAME|FILE",
		Short: "Write the YAML of a profile",
		Long: "Writes the YAML of a profile as it is built in: what a profile of your own may begin with.\n" +
			"Of the path of a file it says what is wrong with it, or writes it as it is.",
		Example: "  sessionizer config show-profile segment > mine.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fmt.Errorf("config show-profile: want the name of a profile (%s) or the path of a file",
				strings.Join(schemas.Profiles(), ", "))
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return schemas.Profiles(), cobra.ShellCompDirectiveDefault
		},
	}, func(_ *cobra.Command, args []string) error {
		text, err := config.ShowProfile(args[0], os.ReadFile)
		if err == nil {
			_, err = a.stdout.Write(text)
		}
		return err
	})
}
