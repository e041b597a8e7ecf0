package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// outputSchema writes the schema of what events become, by the id of their schema in the registry
// or by a file. It is what an operator registers who lets no process do so.
func (a *app) outputSchema(ctx context.Context, of string) error {
	id, err := strconv.ParseUint(of, 10, 32)
	isID := err == nil
	cfg, _, err := a.load(!isID)
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
	_, err = fmt.Fprintln(a.stdout, program.Output())
	return err
}
