package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A registry may answer 409 to a schema that nothing speaks against: two that come at once under a
// new subject both make the subject, and the later one is told that there is one already. So within
// a process they come one after the other; of two processes each looks whether the other one has
// registered what it has itself, and tries again.
const (
	triesMax   = 4
	firstPause = 100 * time.Millisecond // before the second try; doubled before each after it
)

// Enroll returns the id of a schema of ours under a subject: registered, or looked up where nothing
// is to be registered. name is what `sessionizer schema` calls it. The error is an *Error, and
// never of kind NotThere.
func (l *Learner) Enroll(ctx context.Context, subject, text, name string) (uint32, error) {
	if l.Register {
		id, err := l.register(ctx, subject, text)
		return id, settled(err, "")
	}
	id, err := l.Client.Find(ctx, subject, text)
	return id, settled(err, fmt.Sprintf("register it with `sessionizer schema %s --register`, "+
		"or set registry.auto_register: true (OPERATING.md, \"Schema registry\")", name))
}

// settled makes an answer that something is not there one that people must mend: what is missing is
// not what an event names, but ours.
func settled(err error, do string) error {
	var e *Error
	if errors.As(err, &e) {
		if e.Kind == NotThere {
			e.Kind = Refused
		}
		if do != "" && (e.Kind == Unlisted || e.Kind == Refused && e.Do == "") {
			e.Do = do
		}
	}
	return err
}

// register tries until a refusal is sure.
func (l *Learner) register(ctx context.Context, subject, text string) (uint32, error) {
	pause := firstPause
	for try := 1; ; try++ {
		id, err := l.registerOnce(ctx, subject, text)
		if err == nil || KindOf(err) != Declined || try == triesMax {
			return id, err
		}
		select {
		case <-ctx.Done():
			return 0, away(err, ctx.Err())
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// registerOnce registers a schema, or finds it where the registry says that it does not take it.
func (l *Learner) registerOnce(ctx context.Context, subject, text string) (uint32, error) {
	l.once.Do(func() { l.turn = make(chan struct{}, 1) })
	select {
	case <-ctx.Done():
		return 0, &Error{Kind: Unreachable, Cause: ctx.Err(),
			What: "register a schema under the subject " + subject + " behind others"}
	case l.turn <- struct{}{}:
	}
	defer func() { <-l.turn }()
	id, err := l.Client.Register(ctx, subject, text)
	if KindOf(err) != Declined {
		return id, err
	}
	id, missing := l.Client.Lookup(ctx, subject, text)
	switch {
	case missing == nil:
		return id, nil
	case KindOf(missing) == Unreachable:
		return 0, missing // what it said before may be the race
	}
	return 0, err
}

// away is a refusal that there was no time to make sure of.
func away(err, why error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Kind: Unreachable, What: e.What, At: e.At, Cause: errors.Join(e.Cause, why)}
	}
	return err
}
