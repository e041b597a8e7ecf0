package schemas

import "sessionizer/session"

// Codec reads and writes events as a profile says. It does not change: any number of goroutines
// may share it.
type Codec struct{}

// NewCodec checks the configuration and reports all its faults at once.
func NewCodec(c Config) (*Codec, error) { panic("soon") }

// Scanned is a scanned event. It is reused from one event to the next and belongs to one
// goroutine; the zero Scanned is ready.
type Scanned struct {
	Event session.Event // its texts alias the value, the record key or the Scanned
	Notes ScanNotes
}

// ScanNotes is a set of things worth counting.
type ScanNotes uint16

// Scan reads an event in one strict pass.
func (c *Codec) Scan(value []byte, rec Record, sc *Scanned) *BadInput { panic("soon") }

// AppendStamped appends the event with the session of the stamp.
func (c *Codec) AppendStamped(dst, value []byte, sc *Scanned, st *session.Stamp) []byte {
	panic("soon")
}

// Origin says where a visit's record comes from.
type Origin struct {
	Topic     string
	Partition int32
	DecidedAt int64 // the next input offset when it was decided
}

// AppendEnded appends the JSON of a Visit Ended record.
func (c *Codec) AppendEnded(dst, source, anonymousID []byte, e *session.Ended, o Origin) []byte {
	panic("soon")
}

// DeadLetterHeaders appends the headers of a dead letter, behind the original ones.
func DeadLetterHeaders(dst []Header, topic string, partition int32, offset int64, bad *BadInput) []Header {
	panic("soon")
}

// AppendDeadLetterLine appends a dead letter of a file as a line of JSON.
func AppendDeadLetterLine(dst []byte, line int64, original []byte, bad *BadInput) []byte {
	panic("soon")
}

// Profile is a preset for one kind of events.
type Profile struct{ Name string }

// Profiles returns the names of the profiles that are built in.
func Profiles() []string { panic("soon") }

// LoadProfile returns a built-in profile.
func LoadProfile(name string) (Profile, error) { panic("soon") }

// ParseProfile reads a profile from its YAML.
func ParseProfile(name string, text []byte) (Profile, error) { panic("soon") }
