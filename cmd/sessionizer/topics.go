package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"sessionizer/processor"
)

// lookupTimeout bounds a command that asks the brokers once.
const lookupTimeout = 15 * time.Second

// topicReport is one topic in the report of the topics command.
type topicReport struct {
	Name       string            `json:"name"`
	Role       string            `json:"role"`
	State      string            `json:"state"` // ok, missing, created, unfit
	Partitions int32             `json:"partitions"`
	Needs      map[string]string `json:"needs,omitempty"` // settings it is made with
	Problems   []string          `json:"problems,omitempty"`
}

func (a *app) topicsCommand() *cobra.Command {
	var create, asJSON bool
	c := command(&cobra.Command{
		Use:   "topics",
		Short: "Show the topics that run needs, or make the missing ones",
		Long: "Shows the output, visits, dead-letter and changelog topics with what they need and what is\n" +
			"wrong with those that are there. --create makes the missing ones with the input's partition\n" +
			"count, retention and record size, and changes no other. Exit code 1: something is wrong.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error {
		return a.topics(cmd.Context(), create, asJSON)
	})
	c.Flags().BoolVar(&create, "create", false, "make the missing topics")
	c.Flags().BoolVar(&asJSON, "json", false, "report as JSON")
	return c
}

func (a *app) topics(ctx context.Context, create, asJSON bool) error {
	cfg, log, err := a.load(false)
	if err != nil {
		return err
	}
	p, err := processorConfig(cfg, log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	cl, err := processor.Client(&p)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	t, err := processor.Inspect(ctx, adm, &p)
	if err != nil {
		return fmt.Errorf("brokers %v: %w", p.Brokers, err)
	}
	var made []string
	if create {
		if made, err = processor.CreateTopics(ctx, adm, t); err != nil {
			return err
		}
		if t, err = processor.Await(ctx, adm, &p, made); err != nil {
			return err
		}
	}
	reports := reportTopics(t, p.Input, made)
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(reports)
	} else {
		err = printTopics(a.stdout, reports)
	}
	if err != nil {
		return err
	}
	return t.Refusal()
}

func reportTopics(t *processor.Topology, input, made []string) []topicReport {
	var all []topicReport
	for _, in := range input {
		all = append(all, topicReport{Name: in, Role: "input", Partitions: t.Count(in)})
	}
	for _, p := range t.Plans {
		all = append(all, topicReport{
			Name: p.Name, Role: p.Role, Partitions: max(t.Count(p.Name), 0), Needs: p.Configs,
		})
	}
	for i := range all {
		r := &all[i]
		r.State = "ok"
		if slices.Contains(made, r.Name) {
			r.State = "created"
		}
		for _, f := range t.Findings {
			if f.Topic != r.Name {
				continue
			}
			r.State = "unfit"
			if f.Missing || t.Count(r.Name) == 0 {
				r.State = "missing"
			}
			r.Problems = append(r.Problems, f.Problem)
		}
	}
	return all
}

func printTopics(w io.Writer, reports []topicReport) error {
	for _, r := range reports {
		if _, err := fmt.Fprintf(w, "%-8s %-12s %s (%d partitions)\n",
			r.State, r.Role, r.Name, r.Partitions); err != nil {
			return err
		}
		for _, p := range r.Problems {
			if _, err := fmt.Fprintf(w, "         - %s\n", p); err != nil {
				return err
			}
		}
		names := make([]string, 0, len(r.Needs))
		for k := range r.Needs {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			if _, err := fmt.Fprintf(w, "         %s=%s\n", k, r.Needs[k]); err != nil {
				return err
			}
		}
	}
	return nil
}
