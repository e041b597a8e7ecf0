package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/schemas/registry"
)

// outputSchema writes the schema of what events become, by the id of their schema in the registry
// or by a file. It is what an operator registers who lets no process do so.
func (a *app) outputSchema(ctx context.Context, of string, register bool) error {
	id, err := strconv.ParseUint(of, 10, 32)
	isID := err == nil
	cfg, _, err := a.load(!isID && !register)
	if err != nil {
		return err
	}
	_, codec, err := engine(cfg)
	if err != nil {
		return err
	}
	var text string
	if isID {
		l, err := learner(cfg, codec, "")
		if err != nil {
			return err
		}
		if l == nil {
			return usageError{errors.New("schema: an id needs registry.url")}
		}
		defer l.Client.Close()
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		if text, err = l.Client.Schema(ctx, uint32(id)); err != nil {
			return err
		}
	} else {
		content, err := os.ReadFile(of)
		if err != nil {
			return fmt.Errorf("schema of the events: %w", err)
		}
		text = string(content)
	}
	program, err := codec.CompileAvro(text)
	if err != nil {
		return fmt.Errorf("schema of the events %s: %w", of, err)
	}
	if register {
		return a.registerSchema(ctx, cfg, codec, subjectOf(cfg.Output.Topic), program.Output())
	}
	_, err = fmt.Fprintln(a.stdout, program.Output())
	return err
}

// registerVisits registers the schema of the visits under the subject of their topic.
func (a *app) registerVisits(ctx context.Context, text string) error {
	cfg, _, err := a.load(false)
	if err != nil {
		return err
	}
	_, codec, err := engine(cfg)
	if err != nil {
		return err
	}
	return a.registerSchema(ctx, cfg, codec, subjectOf(cfg.Visits.Topic), text)
}

// registerSchema is for operators who let no process register anything: it does so once.
func (a *app) registerSchema(
	ctx context.Context, cfg *config.Config, codec *schemas.Codec, subject, text string,
) error {
	l, err := learner(cfg, codec, subject)
	if err != nil {
		return err
	}
	if l == nil {
		return usageError{errors.New("schema: --register needs registry.url")}
	}
	defer l.Client.Close()
	l.Register = true
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	id, err := l.Enroll(ctx, subject, text, "")
	var e *registry.Error
	switch {
	case errors.As(err, &e) && e.Do != "":
		return fmt.Errorf("%w; %s", err, e.Do)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "registered under the subject %s: schema id %d\n", subject, id)
	return err
}
