package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sessionizer/internal/config"
	"sessionizer/schemas"
)

func (a *app) schemaCommand() *cobra.Command {
	var asJSON, register bool
	var outputOf string
	c := command(&cobra.Command{
		Use:   "schema [NAME]",
		Short: "Write the schema of what is written: Avro, or JSON Schema",
		Long: "Writes the schema of a session in events, of the records about visits, or of a dead letter:\n" +
			"the Avro schema, or with --json-schema the JSON Schema (draft 2020-12) of the JSON form.\n" +
			"Without a name it lists them. With --output-of it writes the Avro schema of the events with\n" +
			"their sessions, as run registers it for events of the schema in a file or, by its id, in the\n" +
			"registry. With --register it is not written but registered, under the subject of the topic\n" +
			"of the output, or of the visits.",
		Example: "  sessionizer schema visit-ended > visit_ended.avsc\n" +
			"  sessionizer schema session --json-schema",
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string,
			cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return schemaNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}, func(cmd *cobra.Command, args []string) error {
		if outputOf != "" {
			return a.outputSchema(cmd.Context(), outputOf, register)
		}
		if register && (len(args) == 0 || args[0] != "visit-ended" && args[0] != "visit-started") {
			return usageError{errors.New("schema: --register is for --output-of and for visit-ended")}
		}
		if len(args) == 0 {
			return a.listSchemas()
		}
		text, err := schemaOf(args[0], asJSON)
		switch {
		case err != nil:
			return err
		case register:
			return a.registerVisits(cmd.Context(), text)
		}
		_, err = fmt.Fprint(a.stdout, text)
		return err
	})
	c.Flags().BoolVar(&asJSON, "json-schema", false, "the JSON Schema of the JSON form")
	c.Flags().StringVar(&outputOf, "output-of", "",
		"the schema of what events become, by the `FILE` or ID of their schema")
	c.Flags().BoolVar(&register, "register", false, "register it in the schema registry")
	c.MarkFlagsMutuallyExclusive("register", "json-schema")
	c.MarkFlagsMutuallyExclusive("output-of", "json-schema")
	return c
}

func schemaNames() []string {
	var names []string
	for _, t := range schemas.Texts() {
		names = append(names, t.Name)
	}
	return names
}

func (a *app) listSchemas() error {
	for _, t := range schemas.Texts() {
		if _, err := fmt.Fprintf(a.stdout, "%-13s  %s\n", t.Name, t.About); err != nil {
			return err
		}
	}
	return nil
}

func schemaOf(name string, asJSON bool) (string, error) {
	texts, names := schemas.Texts(), schemaNames()
	i := slices.Index(names, name)
	if i < 0 {
		hint := "want one of " + strings.Join(names, ", ")
		if nearest := config.Nearest(name, names); nearest != "" {
			hint = "did you mean " + nearest + "?"
		}
		return "", usageError{fmt.Errorf("schema: no such schema: %q; %s", name, hint)}
	}
	if asJSON {
		return texts[i].JSON, nil
	}
	return texts[i].Avro, nil
}
