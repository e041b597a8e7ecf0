package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/twmb/franz-go/pkg/sr"
)

// Kind is what an answer of a registry means for who asked.
type Kind uint8

const (
	// Unreachable is no answer, or none that says anything of what was asked. Ask again.
	Unreachable Kind = iota
	// NotThere is that the registry says it does not have it. It may come to have it: a producer
	// registers with a leader, we may ask a replica. Ask again for a while.
	NotThere
	// Refused is that we may not. People must mend it.
	Refused
	// Declined is that the registry does not take a schema of ours under its subject, which may be
	// the fault of the schema that it was made from. People must mend it.
	Declined
	// Unlisted is that a schema of ours is not among those of its subject, and may not be registered.
	// It may be a replica that is behind: ask again for a while. Then people must mend it.
	Unlisted
	// Unfit is a schema that is there, and no event with it can be read. That will not change.
	Unfit
)

// Error is what came of a question to a registry. It names no password and no schema.
type Error struct {
	Kind  Kind
	What  string // what was asked for
	At    string // the address, without a password; empty: none was asked
	Do    string // what people can do; empty: nothing in particular
	Cause error

	vague bool // a 404 that does not say what is not there
}

func (e *Error) Error() string {
	s := e.What
	if e.At != "" {
		s += ": schema registry " + e.At
	}
	return s + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Final reports whether people must mend it: asking again does not help.
func (e *Error) Final() bool {
	return e.Kind == Refused || e.Kind == Declined || e.Kind == Unlisted
}

// KindOf is the kind of an error of this package; any other error is Unreachable.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unreachable
}

// Codes that a registry gives behind the HTTP status.
const (
	codeNotThereMin = 40401
	codeNotThereMax = 40499
)

// classify makes an Error of what a request returned.
func classify(what, at string, err error) *Error {
	e := &Error{Kind: Unreachable, What: what, At: at, Cause: err}
	var resp *sr.ResponseError
	var sent *url.Error
	switch {
	case errors.As(err, &sent):
		e.Cause = sent.Err // At has the address already
		return e
	case !errors.As(err, &resp):
		return e
	}
	e.Cause = answer(resp)
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound:
		if resp.ErrorCode >= codeNotThereMin && resp.ErrorCode <= codeNotThereMax {
			e.Kind = NotThere
			return e
		}
		e.vague, e.Do = true, "is registry.url right?"
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		e.Kind, e.Do = Refused, "the registry does not accept registry.username with this password"
	case status == http.StatusForbidden:
		e.Kind, e.Do = Refused, "grant the rights that OPERATING.md lists under \"Schema registry\""
	case status == http.StatusConflict && resp.Method == http.MethodPost:
		e.Kind = Declined
		e.Do = "see OPERATING.md, \"Schema registry\": the schema does not go with the subject's " +
			"earlier ones at its compatibility level"
	case status == http.StatusUnprocessableEntity && resp.Method == http.MethodPost:
		e.Kind = Declined
		e.Do = "see OPERATING.md, \"Schema registry\": the registry takes no schemas, or not this one"
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly,
		status == http.StatusTooManyRequests:
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		e.Kind, e.Do = Refused, "is registry.url a Confluent-compatible schema registry?"
	}
	return e
}

// answer is an error of a registry's answer, with no more of it than fits a line.
func answer(resp *sr.ResponseError) error {
	const textMax = 300
	text := resp.Error()
	if len(text) > textMax {
		text = text[:textMax] + " ..."
	}
	if resp.ErrorCode != 0 && resp.ErrorCode != resp.StatusCode {
		return fmt.Errorf("it answers %d (%d): %q", resp.StatusCode, resp.ErrorCode, text)
	}
	return fmt.Errorf("it answers %d: %q", resp.StatusCode, text)
}
