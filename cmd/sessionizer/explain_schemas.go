package main

import (
	"context"
	"errors"

	"sessionizer/schemas"
	"sessionizer/schemas/registry"
)

// school teaches a codec the schemas of Avro events as they come. Nothing is registered.
type school struct {
	codec   *schemas.Codec
	learner *registry.Learner // nil: there is no registry
}

func (t *topicsReader) school(codec *schemas.Codec) (*school, error) {
	l, err := learner(t.cfg, codec, "")
	return &school{codec, l}, err
}

// learn makes sure that the schema of an event is known. Where the registry does not have it the
// event is bad input, as it is to run; where it does not answer there is nothing to explain.
func (s *school) learn(ctx context.Context, value []byte) error {
	id, unknown := s.codec.Unknown(value)
	if !unknown || s.learner == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	_, err := s.learner.Learn(ctx, id)
	var e *registry.Error
	if errors.As(err, &e) && e.Kind == registry.NotThere {
		s.codec.Book().Refuse(id, e.Error())
		return nil
	}
	return err
}

func (s *school) close() {
	if s.learner != nil {
		s.learner.Client.Close()
	}
}
