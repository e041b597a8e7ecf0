package setup

import (
	"context"
	"errors"
	"fmt"

	"sessionizer/internal/audit"
	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/schemas/registry"
)

// avro fills in where events and visits in Avro have their schemas from.
func avro(a *audit.Config, c *config.Config, codec schemas.Config) error {
	a.Format, a.VisitsAvro = c.Input.Format, c.Visits.Format == schemas.FormatAvro.String()
	if a.VisitsAvro && c.Registry.URL == "" {
		a.VisitsSchema = schemas.VisitSchema()
	}
	if a.InputSchema = c.InputSchema(); a.InputSchema == "" {
		return nil
	}
	made, err := schemas.NewCodec(codec)
	if err != nil {
		return err
	}
	program, err := made.CompileAvro(a.InputSchema)
	if err != nil {
		return fmt.Errorf("input.schema: %s: %w", c.Input.Schema, err)
	}
	a.OutputSchema = program.Output()
	return nil
}

// Schemas are those of a registry.
type Schemas struct{ Client *registry.Client }

// Schema returns the schema of an id, or why there is none to read with. An error is that the
// registry does not say.
func (s Schemas) Schema(ctx context.Context, id uint32) (text, unfit string, err error) {
	text, err = s.Client.Schema(ctx, id)
	var e *registry.Error
	if errors.As(err, &e) && (e.Kind == registry.NotThere || e.Kind == registry.Unfit) {
		return "", e.Error(), nil
	}
	return text, "", err
}
