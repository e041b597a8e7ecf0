package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessionizer/schemas"
	"sessionizer/schemas/registry"
)

// lessons are the schemas that events name and the book does not have yet. Each is learned beside
// the lanes, which go on with what they can read: a registry that is away holds up nobody else, no
// transaction and no rebalance.
//
// An id that the registry does not have becomes no entry of the book: a hostile producer could name
// millions of them. It is remembered here for a while, and its events are dead letters one by one.
// So is one whose output's schema the registry does not take: that may be mended.
type lessons struct {
	host    *host
	learner *registry.Learner
	places  chan struct{} // requests to the registry at once: learnersMax

	mu    sync.Mutex
	byID  map[uint32]*lesson
	going int   // lessons that have no end yet
	lost  int   // ids among byID that are not there
	fault error // the registry has refused us: every lane ends with it

	warned time.Time // when the log last said that the registry does not answer
	away   bool      // it has not answered since
	told   time.Time // when the log last named an id that is missing
}

// lesson is one id on its way into the book, or one that the registry does not have.
type lesson struct {
	going bool
	wakes map[*calls]bool   // the lanes that wait for its end
	bad   *schemas.BadInput // why its events are dead letters; nil: it has no end yet
	until time.Time         // bad holds; behind it the registry is asked again
}

const (
	learnersMax   = 8                // requests to the registry at once
	lessonsMax    = 256              // ids that one partition asks for at once; more of them wait
	lessonTimeout = 15 * time.Second // of one attempt, which is a few requests
	// However many ids there are, the log says no more often that the registry does not answer, or
	// that it does not have one.
	lessonsWarnEvery = 10 * time.Second
	// An id counts as missing once the registry has said so for this long and at nothing else in
	// between: a replica may be behind, and one that has just started may know less than it will.
	missingAfter = 10 * time.Second
	// While so many ids are missing they are no registry's fault.
	missingMany      = 100
	missingManyAfter = time.Second
	missingFor       = time.Minute // then the registry is asked again
	missingMax       = 10_000      // ids that are remembered as missing
)

func newLessons(h *host, l *registry.Learner) *lessons {
	return &lessons{
		host: h, learner: l, byID: map[uint32]*lesson{}, places: make(chan struct{}, learnersMax),
	}
}

// ask begins to learn an id, or says why its events are dead letters. While it says neither, wake
// is called when there is an answer. An error is one that ends the process.
func (s *lessons) ask(id uint32, wake *calls) (*schemas.BadInput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return nil, s.fault
	}
	l := s.byID[id]
	if l != nil && l.bad != nil && time.Now().Before(l.until) {
		return l.bad, nil
	}
	if l == nil {
		l = &lesson{}
		s.byID[id] = l
	}
	if !l.going {
		l.going, l.wakes = true, map[*calls]bool{}
		s.going++
		known := l.bad != nil
		s.host.workers.Go(func() { s.learn(id, known) })
	}
	l.wakes[wake] = true
	return nil, nil
}

// open reports whether an id is still being learned; an error is one that ends the process.
func (s *lessons) open(id uint32) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byID[id]
	return l != nil && l.going, s.fault
}

// learn tries until the id is in the book, or is not to be had. missing: it was not there before.
func (s *lessons) learn(id uint32, missing bool) {
	var since time.Time // of answers without a break that it is not there
	wait := newBackoff()
	for {
		refused, err := s.attempt(id)
		var e *registry.Error
		switch {
		case s.host.halted():
			return
		case err == nil:
			s.learned(id, refused)
			return
		case errors.As(err, &e) && e.Kind == registry.Refused:
			s.refuse(e)
			return
		case errors.As(err, &e) && e.Kind == registry.Declined:
			s.declined(id, e)
			return
		case errors.As(err, &e) && (e.Kind == registry.NotThere || e.Kind == registry.Unlisted):
			now := time.Now()
			if since.IsZero() {
				since = now
			}
			if missing || now.Sub(since) >= s.patience() {
				if e.Kind == registry.Unlisted {
					s.declined(id, e)
				} else {
					s.missing(id, err)
				}
				return
			}
		default:
			since = time.Time{}
			s.warn(id, err)
		}
		if err := s.host.pause(context.Background(), wait.next()); err != nil {
			return
		}
	}
}

func (s *lessons) attempt(id uint32) (refused string, err error) {
	select {
	case s.places <- struct{}{}:
	case <-s.host.halt.Done():
		return "", errHalted
	}
	defer func() { <-s.places }()
	ctx, cancel := s.host.bound(context.Background(), lessonTimeout)
	defer cancel()
	return s.learner.Learn(ctx, id)
}

func (s *lessons) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost >= missingMany {
		return missingManyAfter
	}
	return missingAfter
}

// learned is the end of a lesson: the book has it.
func (s *lessons) learned(id uint32, refused string) {
	s.answered()
	if refused != "" {
		s.host.log.Warn("events with a schema that cannot be read are dead letters",
			zap.Uint32("schema_id", id), zap.String("why", refused))
	} else {
		s.host.log.Info("schema learned", zap.Uint32("schema_id", id))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.byID[id]
	if l.bad != nil {
		s.lost--
	}
	delete(s.byID, id)
	s.end(l)
}

// missing is the end of a lesson on what the registry does not have.
func (s *lessons) missing(id uint32, why error) {
	s.answered()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead(id, &schemas.BadInput{Reason: schemas.Malformed,
		Message: fmt.Sprintf("schema %d: the schema registry does not have it", id)})
	if now := time.Now(); now.Sub(s.told) >= lessonsWarnEvery {
		s.told = now
		s.host.log.Warn("the schema registry does not have a schema: events with it are dead letters",
			zap.Uint32("schema_id", id), zap.Int("missing", s.lost), zap.Error(why))
	}
}

// declined is the end of a lesson on what has no schema of the output: anybody who may produce can
// name any schema there is, and must not stop the others' events with it.
func (s *lessons) declined(id uint32, e *registry.Error) {
	s.answered()
	s.mu.Lock()
	defer s.mu.Unlock()
	why := fmt.Sprintf("schema %d: its events cannot be written: %s: %s; %s; when that is mended, "+
		"`sessionizer dlq redrive` brings them back", id, e.What, e.Cause, e.Do)
	if before := s.byID[id].bad; before == nil || before.Message != why {
		s.host.log.Warn("events with a schema are dead letters", zap.Uint32("schema_id", id),
			zap.Stringer("registry", s.learner.Client), zap.String("why", why))
	}
	s.dead(id, &schemas.BadInput{Reason: schemas.Malformed, Message: why})
}

// dead has the events of an id be dead letters for a while. s.mu is held.
func (s *lessons) dead(id uint32, bad *schemas.BadInput) {
	l := s.byID[id]
	if l.bad == nil {
		s.forget()
		s.lost++
	}
	l.bad, l.until = bad, time.Now().Add(missingFor)
	s.end(l)
}

// forget makes room for one more id that is missing.
func (s *lessons) forget() {
	if s.lost < missingMax {
		return
	}
	now := time.Now()
	for all := range 2 { // those that are over; where there are none, any
		for id, l := range s.byID {
			if l.bad != nil && !l.going && s.lost >= missingMax && (all == 1 || now.After(l.until)) {
				delete(s.byID, id)
				s.lost--
			}
		}
	}
}

func (s *lessons) refuse(e *registry.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		s.fault = refusedBy(e)
	}
	for _, l := range s.byID {
		if l.going {
			s.end(l)
		}
	}
}

// end wakes the lanes that wait for a lesson. s.mu is held.
func (s *lessons) end(l *lesson) {
	if l.going {
		l.going = false
		s.going--
	}
	for c := range l.wakes {
		c.interrupt()
	}
	l.wakes = nil
}

// refusedBy is the end of a process that the registry refuses.
func refusedBy(e *registry.Error) *StopError {
	return &StopError{What: e.What + ": schema registry " + e.At, Do: e.Do, Cause: e.Cause}
}

// warn says that the registry does not answer, at a bounded rate however many ids wait for it.
func (s *lessons) warn(id uint32, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.away && now.Sub(s.warned) < lessonsWarnEvery {
		return
	}
	s.away, s.warned = true, now
	s.host.log.Warn("the schema registry does not answer; events with schemas that are not known wait",
		zap.Stringer("registry", s.learner.Client), zap.Uint32("schema_id", id),
		zap.Int("schemas", s.going), zap.Error(cause))
}

func (s *lessons) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		s.away = false
		s.host.log.Info("the schema registry answers again")
	}
}
