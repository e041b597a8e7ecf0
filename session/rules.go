package session

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// IDType is the form of session ids.
type IDType uint8

// The forms of session ids.
const (
	IDInt64 IDType = iota
	IDUUID
	IDString
)

// Mode says who gives the ids.
type Mode uint8

// The modes. Adopt is the default.
const (
	Adopt   Mode = iota // a valid client id is authoritative
	Assign              // client ids are ignored
	Enforce             // client ids count only while they obey gaps and splits
)

// OnMissing says what happens to an event without a client id, in Adopt and Enforce.
type OnMissing uint8

// The policies for events without a client id.
const (
	MissingContinue OnMissing = iota // the session it touches, else a new one
	MissingNone                      // no session
)

// OnInvalid says what happens to an event with an invalid client id, in Adopt and Enforce.
type OnInvalid uint8

// The policies for events with an invalid client id.
const (
	InvalidReplace    OnInvalid = iota // as if the id were missing
	InvalidStrip                       // no session
	InvalidDeadLetter                  // Outcome.Dead is DeadInvalidID
)

// OnTooLate says what happens to an event that is too late.
type OnTooLate uint8

// The policies for events that are too late.
const (
	TooLatePass       OnTooLate = iota // no session
	TooLateDeadLetter                  // Outcome.Dead is DeadTooLate
)

// Limits of the configuration.
const (
	RetainedMax   = 4096                  // bounds a row and the work per event
	RememberedMax = 4096                  // bounds a history row
	DedupeMax     = 1024                  // bounds a row: 16 bytes are kept per message id
	EffectsMax    = math.MaxUint16        // Event.Rule holds the position
	DurationMax   = Millis(1) << 42       // 139 years: sums with times stay far from overflow
	retainedLeast = 64                    // of the default of Retained
	retainedMost  = 512                   // of the default of Retained
	day           = Millis(24 * 3600_000) // 86,400,000 ms
)

// Rules is the configuration of the machine. Start from DefaultRules, change fields, then Compile.
// It is read only afterwards and may be shared.
type Rules struct {
	Mode             Mode
	IDType           IDType
	OnMissing        OnMissing
	OnInvalid        OnInvalid
	TooLate          OnTooLate
	Timeout          Millis // a gap of exactly this much continues a session
	MobileTimeout    Millis
	BoundaryAt       bool // a gap of exactly the timeout does not continue: every T is 1 ms shorter
	SplitUserChange  bool
	SplitClientStart bool
	SplitCampaign    bool
	MaxDuration      Millis         // a session's greatest span; 0: none
	MaxEvents        int            // a session's greatest number of events; 0: none
	Midnight         *time.Location // all events of a session fall on one day there; nil: no matter
	Started          bool           // Visit Started records are wanted: Outcome.Begun
	DedupeLast       int            // message ids kept per key; 0: no deduplication
	DedupeDrop       bool           // duplicates are dropped, not flagged
	Effects          []Effect       // of the rules, by Event.Rule - 1
	Retained         int            // sessions kept per key; 0: derived
	Remembered       int            // forgotten ids kept per key, in Adopt and Enforce
	OutOfOrder       Millis         // the event watermark's distance from the greatest event time
	Lateness         Millis         // how long an ended session stays retained
	Retention        Millis         // how long a key's history is kept

	plain Effect // of events that no rule matches: zero
}

// DefaultRules returns the defaults of the configuration.
func DefaultRules() Rules {
	return Rules{
		Timeout:          30 * 60_000,
		MobileTimeout:    5 * 60_000,
		SplitClientStart: true,
		Remembered:       64,
		OutOfOrder:       60_000,
		Lateness:         day,
		Retention:        400 * day,
	}
}

// Compile checks every field, reports all faults at once, and derives Retained where it is 0:
// lateness / the smaller timeout, + 2, between 64 and 512.
func (r *Rules) Compile() error {
	var faults []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	duration := func(name string, d, least Millis) {
		fault(d >= least && d <= DurationMax, "%s is %d ms: must be between %d and %d",
			name, d, least, DurationMax)
	}
	fault(r.Mode <= Enforce, "unknown mode %d", r.Mode)
	fault(r.IDType <= IDString, "unknown id type %d", r.IDType)
	fault(r.OnMissing <= MissingNone, "unknown policy %d for missing ids", r.OnMissing)
	fault(r.OnInvalid <= InvalidDeadLetter, "unknown policy %d for invalid ids", r.OnInvalid)
	fault(r.TooLate <= TooLateDeadLetter, "unknown policy %d for too late events", r.TooLate)
	duration("timeout", r.Timeout, 1)
	duration("mobile timeout", r.MobileTimeout, 1)
	duration("out of order", r.OutOfOrder, 0)
	duration("lateness", r.Lateness, 0)
	duration("retention", r.Retention, 0)
	fault(r.Lateness >= r.OutOfOrder, "lateness %d ms is less than out of order %d ms",
		r.Lateness, r.OutOfOrder)
	fault(r.Retention >= r.Lateness, "retention %d ms is less than lateness %d ms",
		r.Retention, r.Lateness)
	fault(r.Retained >= 0 && r.Retained <= RetainedMax,
		"retained is %d: must be between 1 and %d, or 0 for the default", r.Retained, RetainedMax)
	fault(r.Remembered >= 0 && r.Remembered <= RememberedMax,
		"remembered is %d: must be between 0 and %d", r.Remembered, RememberedMax)
	duration("max duration", r.MaxDuration, 0)
	fault(r.MaxEvents >= 0, "max events is %d: must be 1 or more, or 0 for any number", r.MaxEvents)
	fault(r.DedupeLast >= 0 && r.DedupeLast <= DedupeMax,
		"dedupe last is %d: must be between 0 and %d", r.DedupeLast, DedupeMax)
	fault(len(r.Effects) <= EffectsMax, "there are %d rules: at most %d are possible",
		len(r.Effects), EffectsMax)
	for i := range r.Effects {
		for _, err := range r.Effects[i].faults() {
			faults = append(faults, fmt.Errorf("rule %d: %w", i+1, err))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if r.Retained == 0 {
		r.Retained = int(min(max(r.retainedNeed(), retainedLeast), retainedMost))
	}
	return nil
}

// Warnings returns what is allowed but probably not meant, one sentence each. Call it after
// Compile.
func (r *Rules) Warnings() []string {
	if need := r.Lateness/r.Timeout + 2; Millis(r.Retained) < need {
		return []string{fmt.Sprintf("retained is %d: a key can have %d sessions within the lateness,"+
			" the oldest ones would be evicted", r.Retained, need)}
	}
	return nil
}

func (r *Rules) retainedNeed() Millis {
	return r.Lateness/min(r.Timeout, r.MobileTimeout) + 2
}

// effect returns what the rules do to an event.
func (r *Rules) effect(e *Event) *Effect {
	if e.Rule == 0 {
		return &r.plain
	}
	return &r.Effects[e.Rule-1]
}

// TimeoutOf returns the timeout of an event, as configured: that of its rule, else its platform's.
func (r *Rules) TimeoutOf(e *Event) Millis {
	if e.Rule != 0 {
		if timeout := r.Effects[e.Rule-1].Timeout; timeout != 0 {
			return timeout
		}
	}
	if e.Mobile {
		return r.MobileTimeout
	}
	return r.Timeout
}

// maxDuration returns the greatest span an event allows; 0: any.
func (r *Rules) maxDuration(e *Event) Millis {
	if e.Rule != 0 {
		if most := r.Effects[e.Rule-1].MaxDuration; most != 0 {
			return most
		}
	}
	return r.MaxDuration
}

// reach returns how far a timeout reaches, inclusive: the T of every formula.
func (r *Rules) reach(timeout Millis) Time {
	if r.BoundaryAt {
		return Time(timeout - 1)
	}
	return Time(timeout)
}

// faults returns what is wrong with an effect: values out of range, and what contradicts itself.
func (f *Effect) faults() []error {
	var faults []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(f.Timeout >= 0 && f.Timeout <= DurationMax, "timeout is %d ms: must be between 1 and %d,"+
		" or 0 for the platform's", f.Timeout, DurationMax)
	fault(f.MaxDuration >= 0 && f.MaxDuration <= DurationMax, "max duration is %d ms: must be between"+
		" 1 and %d, or 0 for that of all", f.MaxDuration, DurationMax)
	fault(f.Class < classes, "unknown class %d", f.Class)
	rest := *f
	rest.Drop, rest.Class = false, ClassStart
	isAlone := rest == Effect{}
	fault(!f.Drop || isAlone && f.Class == ClassStart, "drop goes with nothing else: the event goes"+
		" nowhere")
	fault(f.Class != ClassIgnore || isAlone, "class ignore goes with nothing else: the event passes"+
		" untouched")
	fault(!f.Start || f.Class == ClassStart || f.Class == ClassIgnore, "start needs class start: an"+
		" event of class %s opens no session", f.Class)
	fault(!f.End || f.Class != ClassAttach, "end does not go with class attach: an event that"+
		" attaches changes nothing of its session")
	return faults
}
