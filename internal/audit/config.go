package audit

import (
	"slices"
	"strings"
	"time"
)

// Config is what the auditor has to know of a sessionizer's configuration, in words of its own.
type Config struct {
	Topics Topics

	// Paths are where things are in an event, by their names in the configuration, in order of
	// preference. "$key", last of anonymous_id, is the record's key.
	Paths map[string][]string
	// Write and Remove are the session members of the profile.
	Write  []Write
	Remove []string
	// Fields are those of output.fields, one by one.
	Fields []string
	// Headers says that events of the output name their session in headers too.
	Headers bool
	// VisitKey is the record key of visits: session or anonymous_id.
	VisitKey string
	// Started says that every session has a Visit Started record.
	Started                bool
	StartedNames, EndNames VisitNames
	// VisitMembers are the members that the profile adds to records about visits, by their paths:
	// anonymousId, id, uuid or index.
	VisitMembers map[string]string

	PageTypes, ScreenTypes, TrackTypes    []string
	MobileChannels, MobileLibraries       []string
	ForegroundEvents, BackgroundEvents    []string
	Rules                                 []Rule
	IDs                                   string // assign, adopt, enforce
	IDType                                string // int64, uuid, string
	IDCharactersMin                       int
	OnMissing                             string // continue, none
	OnInvalid                             string // replace, strip, dead_letter
	TooLate                               string // pass, dead_letter
	DeadLetterPolicies                    map[string]string
	TimeoutMs, MobileTimeoutMs            int64
	BoundaryAt                            bool
	UserChange, ClientStart, Campaign     bool // splits
	MaxDurationMs                         int64
	MaxEvents                             int64
	Midnight                              *time.Location
	Retained, Remembered                  int
	DedupeLast                            int
	DedupeDrop                            bool
	TimeSources                           []string
	OutOfOrderMs, LatenessMs, RetentionMs int64
	FutureToleranceMs                     int64
	RecordMax, DepthMax, AnonymousIDMax   int

	// Format is that of events: json, avro, or auto, which is Avro where a value begins with the
	// byte 0 and there are Schemas.
	Format  string
	Schemas Schemas // of the registry; nil: there is none
	// InputSchema and OutputSchema are those of Avro events that name none, VisitsSchema that of
	// visits.
	InputSchema, OutputSchema, VisitsSchema string
	VisitsAvro                              bool // records about visits are Avro
	// Settled says that the run has ended with --until-end: no visit that is due may be missing.
	Settled bool
	// ShowKeys lets findings name the keys of events; else they have a hash of them.
	ShowKeys bool
	// SpillDir is where temporary files go; empty: the system's. SpillBytes is how much is kept in
	// memory; 0: spillBytesDefault.
	SpillDir   string
	SpillBytes int
	// Progress is told how many records have been read; nil: nobody is.
	Progress func(done int64)
}

// Topics names what is audited.
type Topics struct {
	Input       []string // all with the same number of partitions
	Output      string
	Visits      string
	DeadLetters string
}

// Write is a session member: the value of a field, an object of name=field, or a copy.
type Write struct {
	Path   string
	Value  string
	Object []string
	Copy   []string
	Else   string
	Always bool
}

// VisitNames are what a record about a visit says of itself.
type VisitNames struct{ Type, Event string }

// Rule is one of the configuration's: of those that match an event the first counts.
type Rule struct {
	When                     []Condition
	TimeoutMs, MaxDurationMs int64
	Class                    string // start, extend, attach, ignore
	Start, End, Drop         bool
}

// Condition is a test of what is at a path.
type Condition struct {
	Path    string
	Test    string // one of, prefix, glob, exists, compare
	Values  []Value
	Text    string
	Exists  bool
	Compare []Comparison
}

// Value is a JSON scalar; Kind: null, bool, number, string.
type Value struct{ Kind, Text string }

// Comparison is an order that a number must have to another; Op: gt, gte, lt, lte, eq, ne.
type Comparison struct{ Op, Number string }

// fields of a stamp, in the words of output.fields.
const (
	fieldID = iota
	fieldStart
	fieldUUID
	fieldIndex
	fieldEventIndex
	fieldPreviousID
	fieldStartedAt
	fieldReason
	fieldGapMs
	fieldClamped
	fieldDuplicate
	fieldTimeoutMs
	fieldIDSource
	fieldClientID
	fieldLate
	fieldState
	fieldCampaign
	fieldFirstEventID
	fieldCount
)

func fieldNames() []string {
	return []string{"id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt", "reason",
		"gapMs", "clamped", "duplicate", "timeoutMs", "idSource", "clientId", "late", "state",
		"campaign", "firstEventId"}
}

// member is a field at its place: names is below the place of the write.
type member struct {
	place place
	field int
	other string // JSON text that is there, in a session, where the field says nothing
}

// copied is a value that is copied from elsewhere in the event.
type copied struct {
	place place
	from  []place
	other string
}

// form is a configuration made ready: places instead of paths.
type form struct {
	*Config
	paths   map[string][]place
	byKey   bool // the record key is the last resort for the anonymous id
	members []member
	objects []object
	copies  []copied
	removed []place
	cut     *cut
	written [fieldCount]bool // fields that are written anywhere
	rules   []rule
	context []contextMember
	wanted  *cut // where the session is written
	// visitNames are the members of records about visits; true: it is in each.
	visitNames map[string]bool
	books      books
}

// object is a member that is wholly ours.
type object struct {
	place place
	names []string // of the fields that may be in it
}

func newForm(c *Config) *form {
	f := &form{Config: c, paths: map[string][]place{}, cut: &cut{}, wanted: &cut{}}
	for name, paths := range c.Paths {
		for _, p := range paths {
			switch {
			case p == "$key":
				f.byKey = true
			case name == "context":
				f.context = append(f.context, newContextMember(p))
			default:
				f.paths[name] = append(f.paths[name], splitPath(p))
			}
		}
	}
	for i := range c.Write {
		f.addWrite(&c.Write[i])
	}
	for _, p := range c.Remove {
		f.removed = append(f.removed, splitPath(p))
		f.cut.add(splitPath(p))
	}
	for _, name := range []string{"session_id", "session_start"} {
		for _, p := range f.paths[name] {
			if !f.isWithinWrite(p) {
				f.cut.add(p)
			}
		}
	}
	for i := range c.Rules {
		f.rules = append(f.rules, newRule(&c.Rules[i]))
	}
	for i := range f.objects {
		f.wanted.add(f.objects[i].place)
	}
	for i := range f.members {
		if m := &f.members[i]; m.field >= 0 && !f.wanted.covers(m.place) {
			f.wanted.add(m.place)
		}
	}
	for i := range f.copies {
		f.wanted.add(f.copies[i].place)
	}
	f.visitNames = f.newVisitNames()
	f.openBooks()
	return f
}

func splitPath(p string) place { return strings.Split(p, ".") }

func (f *form) isWithinWrite(p place) bool {
	for i := range f.Write {
		w := splitPath(f.Write[i].Path)
		if len(w) <= len(p) && slices.Equal(w, p[:len(w)]) {
			return true
		}
	}
	return false
}

func (f *form) addWrite(w *Write) {
	p := splitPath(w.Path)
	f.cut.add(p)
	asked := func(name string) (int, bool) {
		i := slices.Index(fieldNames(), name)
		return i, w.Always || slices.Contains(f.Fields, name)
	}
	switch {
	case len(w.Copy) > 0:
		c := copied{place: p, other: w.Else}
		for _, from := range w.Copy {
			c.from = append(c.from, splitPath(from))
		}
		f.copies = append(f.copies, c)
	case len(w.Object) > 0:
		o := object{place: p}
		for _, text := range w.Object {
			name, of, renamed := strings.Cut(text, "=")
			if !renamed {
				of = name
			}
			if i, ok := asked(of); ok {
				o.names = append(o.names, name)
				f.members = append(f.members, member{place: append(slices.Clone(p), name), field: i})
				f.written[i] = true
			}
		}
		f.objects = append(f.objects, o)
	default:
		i, ok := asked(w.Value)
		if !ok {
			i = -1 // nothing may be there
		} else {
			f.written[i] = true
		}
		f.members = append(f.members, member{place: p, field: i, other: w.Else})
	}
}
