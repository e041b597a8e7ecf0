// Package session is the machine: it decides which session an event belongs to and when a visit
// ends. It is pure: no clock, no input or output, no log. Time is an argument, and the same events
// in the same order give the same ids, start flags and records on every run.
//
// The caller owns the loop. For each event of a key, or for a few of them in a row:
//
//	err := s.Decode(row, history)      // the key's two rows, as they were last written
//
//	rules.Step(&s, &e, &w, &out)       // decides; advances the partition's watermarks
//	... produce out.Before, out.Begun, the event with out.Stamp, out.After, in this order ...
//
//	row = s.AppendRow(row[:0])         // if s.RowChanged
//	history = s.AppendHistory(...)     // if s.HistoryChanged
//	timer = rules.Due(&s)              // Expire has work once the tick watermark is greater
//
// How many events come between the rows makes no difference to any record, nor to the rows.
//
// step.go is the order of work, decide.go the one place that branches on the rules, with split.go
// (what keeps an event from a session) and dedupe.go (what recognizes a duplicate); apply.go
// carries the decision out, collect.go is what a session takes from its events, texts.go is where
// their texts lie, rest.go what is not looked at, row.go and history.go are the bytes.
package session

import "bytes"

// ID names a session within its key. The zero ID is none.
//
// With IDInt64 only Int is set. With IDUUID and IDString a client's id has only Text (canonical:
// UUIDs in lower case), and a server's id has both: Int, the number it was made from, and Text, the
// form that is written.
type ID struct {
	Int  int64
	Text []byte
}

// IsZero reports whether the ID names no session.
func (id ID) IsZero() bool { return id.Int == 0 && len(id.Text) == 0 }

// Equal reports whether both are written the same way.
func (id ID) Equal(other ID) bool {
	if len(id.Text) > 0 || len(other.Text) > 0 {
		return bytes.Equal(id.Text, other.Text)
	}
	return id.Int == other.Int
}

// Kind tells apart the events that sessions count separately.
type Kind uint8

// The kinds of events.
const (
	KindOther Kind = iota
	KindPage
	KindScreen
	KindTrack
)

// Invalid says why a client session id that was there is no valid one.
type Invalid uint8

// The reasons for which a client session id is not valid; ValidID: it is, or there is none.
const (
	ValidID         Invalid = iota
	InvalidType             // not of the JSON type the id type asks for
	InvalidZero             // the number 0
	InvalidFraction         // a number with a fraction that is not zero, or with an exponent
	InvalidRange            // outside int64
	InvalidShort            // fewer characters than the profile asks for
	InvalidLong             // longer than the limit of string ids
	InvalidBlank            // null, empty, blank, or the text null or undefined
	InvalidUUID             // not the text of a UUID, or the nil UUID
	invalids
)

// String returns the reason as a metric label.
func (i Invalid) String() string { return label(invalidNames[:], int(i)) }

var invalidNames = [invalids]string{
	"", "type", "zero", "fraction", "range", "short", "long", "blank", "uuid",
}

// Event is an event as the machine sees it. Its texts may alias buffers of the caller: a State
// copies what it keeps of them.
type Event struct {
	Time        Time  // between TimeMin and TimeMax, else the event is dead (DeadNoTime)
	Offset      int64 // position in the input partition; grows with every event of a key
	AnonymousID []byte
	Source      []byte  // empty by default
	Client      ID      // valid client session id; zero: none
	Invalid     Invalid // not ValidID: there was a client id, and this is what is wrong with it
	Debug       bool    // an @debug- id: the event passes with no state and no timers
	Start       bool    // the client's start marker
	Mobile      bool    // the timeout of mobile platforms applies
	Kind        Kind
	Clamped     bool // the time was later than the record's own and has been clamped
	UserID      []byte
	MessageID   []byte

	Rule      uint16    // the first rule that matches: its position in Rules.Effects + 1; 0: none
	Lifecycle Lifecycle // the app came to the foreground or went to the background

	// What sessions collect, each as the JSON text that is written; empty: the event has none.
	Place   []byte  // of page and screen events: {"url":"..."} or {"screen":"..."}
	Details Details // nil: the event has none
}

// Details is what a session collects of its first events. Most events are never asked: it is made
// when it is asked for.
type Details interface {
	Referrer() []byte // a string
	Campaign() []byte // an object; two campaigns are the same if their bytes are. Empty: direct
	Context() []byte  // an object of the members the configuration names
}

func (e *Event) campaign() []byte {
	if e.Details == nil {
		return nil
	}
	return e.Details.Campaign()
}

// Lifecycle says that an app has changed sides.
type Lifecycle uint8

// The changes.
const (
	LifecycleNone Lifecycle = iota
	LifecycleForeground
	LifecycleBackground
)

// Class says what an event may do to a session.
type Class uint8

// The classes. ClassStart is the default.
const (
	ClassStart  Class = iota // may open a session and extends it
	ClassExtend              // extends a session, never opens one
	ClassAttach              // gets the id of the session it touches and changes nothing of it
	ClassIgnore              // passes untouched
	classes
)

// String returns the class as it is configured.
func (c Class) String() string { return label(classNames[:], int(c)) }

var classNames = [classes]string{"start", "extend", "attach", "ignore"}

// Effect is what a rule does to the events it is the first to match.
type Effect struct {
	Timeout     Millis // instead of the platform's; 0: the platform's
	MaxDuration Millis // instead of Rules.MaxDuration; 0: that one
	Class       Class
	Start       bool // a start marker, which needs no split configured
	End         bool // the event ends its session
	Drop        bool // the event goes nowhere
}

// Text is something a session took from one of its events, with the time and the offset of that
// event, so that the first and the last follow event time and, at equal times, arrival.
type Text struct {
	Bytes  []byte
	Time   Time
	Offset int64
}

// Session is one session of a key, from its opening until it is forgotten.
//
// Invariants: First <= Last; NotBefore <= First and Last <= NotAfter; Open implies that an event
// arrived after the visit's last record; Revision is the number of records sent.
type Session struct {
	ID       ID
	Client   ID // client id it was opened under; zero: none
	Previous ID // the session before it at its opening; zero: none. Never rewritten
	UUID     [16]byte
	Index    uint32 // 1 for the key's first; order of opening

	Server  bool // the id is the server's
	Started bool // the start flag has been given
	Open    bool // changed since its last record: another one is due

	// EndReason is that of the split, end rule or eviction that ended the visit; ReasonInactivity
	// otherwise. Later revisions keep it.
	EndReason Reason
	Revision  uint32 // of the last record; 0: none was sent

	First, Last Time // event times
	Changed     Time // event watermark at its last event
	NotBefore   Time // hard bounds, inclusive; none: NoTime and MaxTime
	NotAfter    Time
	Timeout     Millis // in force, as configured: that of the event with the greatest time
	MaxDuration Millis // in force; 0: none
	ActiveMs    Millis // sum of the gaps that were within the timeout, as they were met

	Events     uint64 // with those of the sessions merged into it
	EventIndex uint64 // events that carry this id: its own count
	Pages      uint64
	Screens    uint64
	Tracks     uint64
	Late       uint64
	Duplicates uint64
	Attached   uint64

	// By event time; at equal times the earlier arrival is first, the later one last.
	FirstOffset, LastOffset int64
	FirstEvent, LastEvent   []byte // message ids; empty: that event has none
	FirstUser, LastUser     Text   // known users
	Entry, Exit             Text   // page or screen
	Campaign                Text
	Referrer                Text
	Context                 Text

	Foreground, Background uint32 // indexes
}

// State is what a key remembers. Reset or Decode it before its first use.
type State struct {
	Count       uint32    // sessions so far: the index of the newest
	MaxServerID int64     // greatest id the server gave; 0: none
	Stamped     uint32    // index of the session stamped last; 0: none
	Forgotten   Time      // greatest max(last + T, changed) of sessions as they were forgotten; NoTime
	Messages    []byte    // digests of the message ids seen last, oldest first
	Sessions    []Session // the retained ones that are open; while unpacked all of them

	RowChanged     bool // the row must be written again
	HistoryChanged bool // the history row must be written again

	rest     rest // the retained ones that are not open, in the history row
	fresh    rest // the newest of them, in the first row
	unpacked bool // rest and fresh are in Sessions, in front of what is open
	stirred  bool // of what rests, or should, something has changed since settle
	history  history
	messages []byte // the buffer of Messages once they changed
	rows     []byte // a copy of the rows: what was read of them aliases it
	texts    []byte // every other text: see texts.go
	textsMax int    // tidy makes texts small again beyond it
	restMax  int    // what of textsMax is for the texts of the resting sessions, while unpacked
	touched  []int  // scratch of decide: retained sessions the event touches
	packed   []byte // scratch of settle: ended sessions; and of tidy
	picked   []int  // scratch: positions of retained sessions
}

// Reset makes s a new key. Its buffers are kept.
func (s *State) Reset() {
	s.clear()
	s.texts = s.texts[:0]
	s.RowChanged, s.HistoryChanged = false, false
}

// clear drops what the key remembers.
func (s *State) clear() {
	s.Count, s.MaxServerID, s.Stamped, s.Forgotten = 0, 0, 0, NoTime
	s.Messages = nil
	s.Sessions = s.Sessions[:0]
	s.rest.clear()
	s.fresh.clear()
	s.leaveRest()
	s.stirred = false
	s.history.clear()
}

// IsEmpty reports whether there is nothing to remember: the key has no row.
func (s *State) IsEmpty() bool { return s.Count == 0 && len(s.Sessions) == 0 }

// Err returns what is wrong with the history, if a Step since Decode found an entry that cannot be
// read; entries are read only when they are needed. Nothing of that Step must be used then.
func (s *State) Err() error { return s.history.damage }

func label(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}
