package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sessionizer/schemas"
	"sessionizer/session"
)

// SessionRules are the rules of the machine, compiled.
func (c *Config) SessionRules() (*session.Rules, error) {
	r := &session.Rules{
		Timeout:          millis(c.Session.Timeout),
		MobileTimeout:    millis(c.Session.MobileTimeout),
		BoundaryAt:       c.Session.Boundary == "at",
		SplitUserChange:  slices.Contains(c.Session.Splits, "user_change"),
		SplitClientStart: slices.Contains(c.Session.Splits, "client_start"),
		SplitCampaign:    slices.Contains(c.Session.Splits, "campaign"),
		MaxDuration:      millis(c.Session.MaxDuration),
		MaxEvents:        c.Session.MaxEvents,
		Started:          c.Visits.Started,
		DedupeLast:       c.Session.Dedupe.Last,
		DedupeDrop:       c.Session.Dedupe.Action == "drop",
		Retained:         c.Session.Retained,
		Remembered:       c.Session.Remembered,
		OutOfOrder:       millis(c.Time.OutOfOrder),
		Lateness:         millis(c.Time.Lateness),
		Retention:        millis(c.Time.Retention),
		IDType:           c.idType(),
	}
	for i := range c.Rules {
		r.Effects = append(r.Effects, c.Rules[i].Effect)
	}
	if c.Session.Midnight != "" {
		zone, err := time.LoadLocation(c.Session.Midnight)
		if err != nil {
			return nil, fmt.Errorf("session.midnight: %w", err)
		}
		r.Midnight = zone
	}
	switch c.Session.IDs {
	case "assign":
		r.Mode = session.Assign
	case "adopt":
		r.Mode = session.Adopt
	case "enforce":
		r.Mode = session.Enforce
	}
	if c.Session.OnMissing == "none" {
		r.OnMissing = session.MissingNone
	}
	switch c.Session.OnInvalid {
	case "strip":
		r.OnInvalid = session.InvalidStrip
	case "dead_letter":
		r.OnInvalid = session.InvalidDeadLetter
	}
	if c.Time.TooLate == "dead_letter" {
		r.TooLate = session.TooLateDeadLetter
	}
	if err := r.Compile(); err != nil {
		return nil, fmt.Errorf("compile the session rules: %w", err)
	}
	return r, nil
}

// Codec is the codec of the profile as the configuration changes it. Where events may be Avro it
// has a Book, with the schema of input.schema in it, if there is one.
func (c *Config) Codec() (*schemas.Codec, error) {
	config, err := c.CodecConfig()
	if err != nil {
		return nil, err
	}
	codec, err := schemas.NewCodec(config)
	if err != nil || c.Input.schemaText == "" {
		return codec, err
	}
	program, err := codec.CompileAvro(c.Input.schemaText)
	if err != nil {
		return nil, fmt.Errorf("input.schema: %s: %w", c.Input.Schema, err)
	}
	config.Book.SetRaw(program)
	return codec, nil
}

// InputSchema is the text of input.schema; empty: there is none.
func (c *Config) InputSchema() string { return c.Input.schemaText }

// CodecConfig is what the codec is made of.
func (c *Config) CodecConfig() (schemas.Config, error) {
	profile, err := c.loadProfile()
	if err != nil {
		return schemas.Config{}, err
	}
	config := schemas.Config{
		Profile: profile, Paths: c.Paths,
		IDType: c.idType(),
		Fields: c.Output.Fields, FutureTolerance: millis(c.Time.FutureTolerance),
		Limits: schemas.Limits{
			Record: int(c.Limits.Record), JSONDepth: c.Limits.JSONDepth,
			AnonymousID: int(c.Limits.AnonymousID),
		},
	}
	if config.Format, err = schemas.ParseFormat(c.Input.Format); err != nil {
		return config, fmt.Errorf("input.format: %w", err)
	}
	if config.VisitsFormat, err = schemas.ParseFormat(c.Visits.Format); err != nil {
		return config, fmt.Errorf("visits.format: %w", err)
	}
	if c.MayBeAvro() {
		config.Book = schemas.NewBook()
	}
	for i := range c.Rules {
		config.Rules = append(config.Rules, schemas.Match{
			Name: fmt.Sprintf("%s[%d]", rulesKey, i), Conditions: c.Rules[i].When,
		})
	}
	for _, name := range c.Time.Sources {
		source, err := schemas.ParseTimeSource(name)
		if err != nil {
			return schemas.Config{}, fmt.Errorf("time.sources: %w", err)
		}
		config.TimeSources = append(config.TimeSources, source)
	}
	return config, nil
}

func (c *Config) loadProfile() (schemas.Profile, error) {
	if c.profile != nil {
		return *c.profile, nil
	}
	return schemas.LoadProfile(c.Profile)
}

// PathsOf returns the paths in force for a name: those of paths.NAME, else the
// profile's; nil: there are none.
func (c *Config) PathsOf(name string) ([]string, error) {
	if paths, given := c.Paths[name]; given {
		return paths, nil
	}
	profile, err := c.loadProfile()
	return profile.Paths[name], err
}

func (c *Config) idType() session.IDType {
	switch c.Session.IDType {
	case "uuid":
		return session.IDUUID
	case "string":
		return session.IDString
	}
	return session.IDInt64
}

func millis(d time.Duration) session.Millis { return session.Millis(d / time.Millisecond) }

// checkEngine lets the parts of the engine check what they alone know: paths,
// fields, the rules as a whole. They are asked last, and of the keys that are
// right so far, so that nothing is told twice.
func (l *loader) checkEngine() {
	before := l.faults[:len(l.faults):len(l.faults)]
	config := l.config
	if config.profile == nil && !isBuiltIn(config.Profile) {
		config.Profile = Defaults().Profile // the other keys have a right to be checked too
	}
	if _, err := config.Codec(); err != nil {
		l.engineFaults(err, before)
	}
	if len(before) > 0 {
		return // the rules belong together: one that is mended may mend another
	}
	rules, err := l.config.SessionRules()
	if err != nil {
		l.engineFaults(err, before)
		return
	}
	for _, sentence := range rules.Warnings() {
		l.warn("session.retained", faultf("%s", sentence))
	}
}

// engineFaults takes joined errors apart. A key that was faulty before is not
// told of again, and what is no single key's only where nothing else was.
func (l *loader) engineFaults(err error, before Faults) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			l.engineFaults(one, before)
		}
		return
	}
	origin, key, problem := l.engineKey(err.Error())
	told := slices.ContainsFunc(before, func(f Fault) bool { return f.Key == key })
	if !told && (key != "" || len(before) == 0) {
		l.fault(origin, key, faultf("%s", problem))
	}
}

// engineKey finds the key that an engine's error begins with, "paths.source: ",
// and where it was given: of a profile in a file that may be there.
func (l *loader) engineKey(message string) (o Origin, key, problem string) {
	file := l.profileFile
	if rest, ok := strings.CutPrefix(message, "profile "+l.profile.Name+": "); ok && file != nil {
		if section, problem, ok := strings.Cut(rest, ": "); ok {
			return file.origin(section, problem), section, problem
		}
	}
	if o, key, problem, ok := l.ruleOf(message); ok {
		return o, key, problem
	}
	for i := range l.table {
		name := l.table[i].name
		problem, ok := strings.CutPrefix(message, name+": ")
		if !ok {
			continue
		}
		o, given := l.origins[name]
		if !given && file != nil && strings.HasPrefix(name, "paths.") {
			o = file.origin(name, problem)
		}
		return o, name, problem
	}
	return Origin{}, "", message
}

// ruleOf finds the rule that an engine's error is about, "rules[1].when.event: ".
func (l *loader) ruleOf(message string) (o Origin, key, problem string, ok bool) {
	key, problem, found := strings.Cut(message, ": ")
	index, found2 := strings.CutPrefix(key, rulesKey+"[")
	index, rest, found3 := strings.Cut(index, "]")
	i, err := strconv.Atoi(index)
	if !found || !found2 || !found3 || err != nil || i < 0 || i >= len(l.config.Rules) {
		return Origin{}, "", "", false
	}
	r := &l.config.Rules[i]
	o = r.origin
	if quoted, isPath := strings.CutPrefix(problem, "path "); isPath && rest == "."+ruleWhen {
		if path, err := strconv.QuotedPrefix(quoted); err == nil {
			path, _ = strconv.Unquote(path)
			rest += "." + path
		}
	}
	if line := r.lines[strings.TrimPrefix(rest, ".")]; line > 0 {
		o.line = line
	}
	return o, r.key + rest, problem, true
}
