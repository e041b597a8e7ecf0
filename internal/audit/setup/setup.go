// Package setup tells the auditor what it has to know of a configuration. It is apart from the
// auditor because configurations are made of the engine's own types, which the auditor must not
// know.
package setup

import (
	"cmp"
	"fmt"
	"time"

	"sessionizer/internal/audit"
	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// From returns the auditor's configuration for one of the sessionizer.
func From(c *config.Config) (audit.Config, error) {
	codec, err := c.CodecConfig()
	if err != nil {
		return audit.Config{}, err
	}
	profile := codec.Profile
	a := audit.Config{
		Topics: audit.Topics{
			Input: c.Input.Topics, Output: c.Output.Topic, Visits: c.Visits.Topic,
			DeadLetters: c.DeadLetters.Topic,
		},
		Paths: map[string][]string{}, Remove: profile.Remove, Fields: fields(c.Output.Fields),
		Headers: c.Output.Headers, VisitKey: c.Visits.Key,
		Started:      c.Visits.Started,
		StartedNames: names(profile.Visits.Started, "Visit Started"),
		EndNames:     names(profile.Visits.Ended, "Visit Ended"),
		VisitMembers: profile.Visits.Members,
		PageTypes:    profile.Kinds.Page, ScreenTypes: profile.Kinds.Screen,
		TrackTypes: profile.Kinds.Track, MobileChannels: profile.Mobile.Channels,
		MobileLibraries:  profile.Mobile.Libraries,
		ForegroundEvents: profile.Lifecycle.Foreground, BackgroundEvents: profile.Lifecycle.Background,
		IDCharactersMin: profile.IDCharactersMin, DeadLetterPolicies: map[string]string{},
		TimeSources: c.Time.Sources, TooLate: c.Time.TooLate,
		OutOfOrderMs: c.Time.OutOfOrder.Milliseconds(), LatenessMs: c.Time.Lateness.Milliseconds(),
		RetentionMs:       c.Time.Retention.Milliseconds(),
		FutureToleranceMs: c.Time.FutureTolerance.Milliseconds(),
		RecordMax:         int(c.Limits.Record), DepthMax: c.Limits.JSONDepth,
		AnonymousIDMax: int(c.Limits.AnonymousID),
	}
	for name, list := range profile.Paths {
		a.Paths[name] = list
	}
	for name, list := range c.Paths {
		a.Paths[name] = list
	}
	for _, w := range profile.Write {
		a.Write = append(a.Write, audit.Write{Path: w.Path, Value: w.Value, Object: w.Object,
			Copy: w.Copy, Else: w.Else, Always: w.Always})
	}
	for reason, policy := range c.DeadLetters.On {
		a.DeadLetterPolicies[reason] = string(policy)
	}
	if err := avro(&a, c, codec); err != nil {
		return a, err
	}
	err = sessions(&a, c)
	return a, err
}

// sessions fills in what decides about sessions.
func sessions(a *audit.Config, c *config.Config) error {
	s := &c.Session
	a.IDs, a.IDType = s.IDs, cmp.Or(s.IDType, "int64")
	a.OnMissing, a.OnInvalid = s.OnMissing, s.OnInvalid
	a.TimeoutMs, a.MobileTimeoutMs = s.Timeout.Milliseconds(), s.MobileTimeout.Milliseconds()
	a.BoundaryAt = s.Boundary == "at"
	for _, split := range s.Splits {
		switch split {
		case "user_change":
			a.UserChange = true
		case "client_start":
			a.ClientStart = true
		case "campaign":
			a.Campaign = true
		}
	}
	a.MaxDurationMs, a.MaxEvents = s.MaxDuration.Milliseconds(), int64(s.MaxEvents)
	if s.Midnight != "" {
		zone, err := time.LoadLocation(s.Midnight)
		if err != nil {
			return fmt.Errorf("session.midnight: %w", err)
		}
		a.Midnight = zone
	}
	a.Retained, a.Remembered = s.Retained, s.Remembered
	if a.Retained == 0 {
		need := a.LatenessMs/min(a.TimeoutMs, a.MobileTimeoutMs) + 2
		a.Retained = int(min(max(need, retainedLeast), retainedMost))
	}
	a.DedupeLast, a.DedupeDrop = s.Dedupe.Last, s.Dedupe.Action == "drop"
	for i := range c.Rules {
		a.Rules = append(a.Rules, rule(&c.Rules[i]))
	}
	return nil
}

// How many sessions of a key are kept at least and at most where the configuration does not say.
const (
	retainedLeast = 64
	retainedMost  = 512
)

func fields(list []string) []string {
	standard := []string{"id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt"}
	switch list[0] {
	case "minimal":
		return standard[:2]
	case "standard":
		return standard
	case "full":
		return append(standard, "reason", "gapMs", "clamped", "duplicate", "timeoutMs", "idSource",
			"clientId", "late", "state", "campaign")
	}
	return list
}

func names(n schemas.VisitNames, event string) audit.VisitNames {
	return audit.VisitNames{Type: cmp.Or(n.Type, "track"), Event: cmp.Or(n.Event, event)}
}

func rule(r *config.Rule) audit.Rule {
	e := &r.Effect
	made := audit.Rule{
		TimeoutMs: int64(e.Timeout), MaxDurationMs: int64(e.MaxDuration),
		Start: e.Start, End: e.End, Drop: e.Drop,
		Class: map[session.Class]string{
			session.ClassStart: "start", session.ClassExtend: "extend", session.ClassAttach: "attach",
			session.ClassIgnore: "ignore",
		}[e.Class],
	}
	for i := range r.When {
		made.When = append(made.When, condition(&r.When[i]))
	}
	return made
}

func condition(c *schemas.Condition) audit.Condition {
	made := audit.Condition{
		Path: c.Path, Text: c.Text, Exists: c.Exists,
		Test: map[schemas.Test]string{
			schemas.TestOneOf: "one of", schemas.TestPrefix: "prefix", schemas.TestGlob: "glob",
			schemas.TestExists: "exists", schemas.TestCompare: "compare",
		}[c.Test],
	}
	for _, v := range c.Values {
		made.Values = append(made.Values, audit.Value{Text: v.Text, Kind: map[schemas.ValueKind]string{
			schemas.ValueNull: "null", schemas.ValueBool: "bool", schemas.ValueNumber: "number",
			schemas.ValueString: "string",
		}[v.Kind]})
	}
	for _, o := range c.Compare {
		made.Compare = append(made.Compare, audit.Comparison{Number: o.Number,
			Op: map[schemas.Op]string{
				schemas.OpGreater: "gt", schemas.OpGreaterEqual: "gte", schemas.OpLess: "lt",
				schemas.OpLessEqual: "lte", schemas.OpEqual: "eq", schemas.OpNotEqual: "ne",
			}[o.Op]})
	}
	return made
}
