package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sessionizer/schemas"
)

// Learner fills a Book with the schemas that events name.
type Learner struct {
	Client *Client
	Codec  *schemas.Codec
	Book   *schemas.Book

	// Subject is what the output's schemas go by. Empty: there is no output, and the book gives
	// events the id they came with.
	Subject string
	// Register: schemas of the output that are not there are registered. Else they must be there.
	Register bool

	once sync.Once
	turn chan struct{} // whose it is registers
}

// Learn puts the schema of an id into the book: accepted, or refused with the returned reason,
// which names no values. With an error, an *Error, the book is as it was.
func (l *Learner) Learn(ctx context.Context, id uint32) (refused string, err error) {
	text, err := l.Client.Schema(ctx, id)
	var e *Error
	switch {
	case err == nil:
	case errors.As(err, &e) && e.Kind == Unfit:
		l.Book.Refuse(id, e.Cause.Error())
		return e.Cause.Error(), nil
	default:
		return "", err
	}
	program, err := l.Codec.CompileAvro(text)
	if err != nil {
		why := reason(err)
		l.Book.Refuse(id, why)
		return why, nil
	}
	output := id
	if l.Subject != "" {
		if output, err = l.enrollOutput(ctx, id, program.Output()); err != nil {
			return "", err
		}
	}
	l.Book.Accept(id, program, output)
	return "", nil
}

// reason is why a schema cannot be used, for who knows which one it is.
func reason(err error) string {
	var e *schemas.SchemaError
	switch {
	case !errors.As(err, &e):
		return err.Error()
	case e.Place == "":
		return e.What
	}
	return e.Place + ": " + e.What
}

func (l *Learner) enrollOutput(ctx context.Context, id uint32, text string) (uint32, error) {
	return l.Enroll(ctx, l.Subject, text, fmt.Sprintf("--output-of %d", id))
}
