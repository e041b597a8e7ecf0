package session

// Watermarks are those of one input partition. Both are NoTime at first, neither goes back, and
// Tick >= Event.
type Watermarks struct {
	Event Time // greatest event time - out of order
	Tick  Time // the event watermark, or the wall clock's on an idle partition
}

// Status says what became of an event.
type Status uint8

// The fates of an event.
const (
	InSession  Status = iota // the stamp names its session
	NoSession                // none: the client's session fields are removed
	TooLate                  // none: too late; the client's session fields are removed
	Unattached               // none: nothing to attach to; the client's session fields are removed
	Bypass                   // the payload is left untouched
	Dropped                  // a rule or dedupe drops the event
	statuses
)

// String returns the status as a metric label.
func (s Status) String() string { return label(statusNames[:], int(s)) }

var statusNames = [statuses]string{
	"in_session", "no_session", "too_late", "unattached", "bypass", "dropped",
}

// Reason is that of an opening or of an end.
type Reason uint8

// The reasons. An opening has ReasonFirst, ReasonClientID, a split's or ReasonInactivity; an end
// has ReasonInactivity, a split's, ReasonEnd, ReasonEvicted or ReasonMerged.
const (
	ReasonNone Reason = iota
	ReasonInactivity
	ReasonFirst // the key's first session
	ReasonClientID
	ReasonClientStart
	ReasonUserChange
	ReasonMaxDuration
	ReasonMaxEvents
	ReasonCampaign
	ReasonMidnight
	ReasonEnd
	ReasonEvicted
	ReasonMerged
	reasons
)

// String returns the reason as it is written in records.
func (r Reason) String() string { return label(reasonNames[:], int(r)) }

var reasonNames = [reasons]string{
	"", "inactivity", "first", "client_id", "client_start", "user_change", "max_duration",
	"max_events", "campaign", "midnight", "end", "evicted", "merged",
}

// Dead says why an event goes to the dead-letter topic. State and watermarks are untouched then.
type Dead uint8

// The reasons for a dead letter.
const (
	DeadNone      Dead = iota
	DeadInvalidID      // an invalid client id, and the policy for those
	DeadTooLate        // too late, and the policy for that
	DeadNoTime         // the time is outside the years 1 to 9999
	deads
)

// String returns the reason as dead letters name it.
func (d Dead) String() string { return label(deadNames[:], int(d)) }

var deadNames = [deads]string{"", "invalid_id", "too_late", "no_time"}

// Notes is a set of things worth counting.
type Notes uint32

// The notes.
const (
	NoteStartAdded   Notes = 1 << iota // the client's first event of an id had no start flag
	NoteStartRemoved                   // a client's start flag was taken away
	NoteLateStart                      // a start marker joined a session with later events
	NoteLate                           // the event's session is not the live one
	NoteTooLate                        // too late
	NoteInvalidID                      // the client id was invalid; Event.Invalid says how
	NoteClamped                        // the event's time had been clamped
	NoteMerged                         // sessions were merged
	NoteEvicted                        // a session was evicted
	NoteResumed                        // a forgotten id resumed
	NoteIDReused                       // an id the key no longer remembers was given again
	NoteIndexFull                      // the index cannot grow any more
	NoteIgnored                        // a rule of class ignore let the event pass
	NoteDropped                        // a rule dropped the event
	NoteAttached                       // the event was attached to a session
	NoteUnattached                     // there was no session for an event that may open none
	NoteDuplicate                      // the message id is one of the last
	NoteEnded                          // an end rule ended a session
	NoteSplit                          // a split closed a session
	NotesEnd                           // the first bit that is no note: the bound of a loop
)

// String returns the name of a single note, as a metric label.
func (n Notes) String() string {
	for i, name := range noteNames {
		if n == 1<<i {
			return name
		}
	}
	return "unknown"
}

var noteNames = [...]string{
	"start_added", "start_removed", "late_start_marker", "late", "too_late", "invalid_id", "clamped",
	"merged", "evicted", "resumed", "id_reused", "index_full", "ignored", "dropped", "attached",
	"unattached", "duplicate", "end_rule", "split",
}

// Stamp is what an event gets. Where Status is not InSession only Client, Clamped and Duplicate are
// set.
type Stamp struct {
	Status     Status
	ID         ID
	UUID       [16]byte
	Start      bool
	Server     bool // the id is the server's
	Late       bool
	Clamped    bool
	Duplicate  bool
	Reason     Reason // of the opening, on the start event only
	Index      uint32
	EventIndex uint64 // 0: attached, or a duplicate
	Previous   ID
	StartedAt  Time
	FirstEvent []byte // message id of the event it started with; empty: that one has none
	GapMs      Millis // between the session, before it took the event, and the event
	TimeoutMs  Millis // in force after the event, as configured
	Client     ID     // as the client sent it
	Campaign   []byte // as of the event: JSON; empty: none
}

// Ended is one Visit Ended record.
type Ended struct {
	Session        Session // as of the record; of a merged one the counts and ActiveMs are 0
	Reason         Reason
	Revision       uint32
	MergedInto     ID   // zero: not merged
	AmendableUntil Time // NoTime: none
}

// DurationMs is the length of the visit; 0 for a merged one.
func (e *Ended) DurationMs() Millis {
	if e.Reason == ReasonMerged {
		return 0
	}
	return Millis(e.Session.Last - e.Session.First)
}

// Outcome is the result of a Step or an Expire. Its texts alias buffers of the State and the Event:
// they are valid until the next Step or Decode on the same State.
type Outcome struct {
	Before []Ended // must be produced ahead of the event; reused between calls
	Begun  []Ended // at most one Visit Started, revision 0: behind Before, ahead of the event
	After  []Ended // must be produced behind the event; reused between calls
	Stamp  Stamp
	Dead   Dead // not DeadNone: the event is a dead letter; everything else but Notes is empty
	Notes  Notes
}

func (out *Outcome) reset() {
	out.Before, out.Begun, out.After = out.Before[:0], out.Begun[:0], out.After[:0]
	out.Stamp = Stamp{}
	out.Dead, out.Notes = DeadNone, 0
}
