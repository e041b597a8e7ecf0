// Package config turns defaults, a profile, a YAML file, the environment and
// --set into one checked Config. It reports every fault at once, each with the
// place it was written at, and it reads neither the process's environment nor
// the disk itself: Load is given both.
package config

import (
	"crypto/tls"
	"time"

	"sessionizer/schemas"
)

// Config is the configuration in force. The names are those of the file: the
// key kafka.session_timeout is Kafka.SessionTimeout. A Config that Load
// returned without an error needs no further checks.
type Config struct {
	Kafka       Kafka
	Input       Input
	Output      Output
	Visits      Visits
	DeadLetters DeadLetters
	Registry    Registry
	Profile     string
	Paths       map[string][]string // by the name behind "paths.", in order of preference
	Session     Session
	Rules       []Rule // first match wins; the profile's behind the others
	Time        Time
	State       State
	Commit      Commit
	Lanes       int // 0: half the cores, see LaneCount
	Limits      Limits
	HTTP        HTTP
	Log         Log

	profile *schemas.Profile // what is in the file that Profile names; nil: a built-in one
}

// Kafka is how to reach the brokers and as whom.
type Kafka struct {
	Brokers            []string // host:port, at least one
	Group              string   // legal as a topic name: the changelog's name begins with it
	Instance           string   // never empty: the host name where none is given
	TLS                TLS
	SASL               SASL
	SessionTimeout     time.Duration
	TransactionTimeout time.Duration
}

// TLS holds the keys kafka.tls.* or registry.tls.*.
type TLS struct {
	Enabled    bool
	CAFile     string
	CertFile   string
	KeyFile    string
	ServerName string

	client *tls.Config // what the files held; nil: plain text, or Load was offline
}

// Client returns the TLS configuration of the connections, a copy of the
// caller's own, or nil for plain text.
func (t *TLS) Client() *tls.Config {
	if t.client == nil {
		return nil
	}
	return t.client.Clone()
}

// SASL holds the keys kafka.sasl.*. An empty Mechanism is no authentication.
type SASL struct {
	Mechanism    string // "", PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Username     string
	Password     Secret // from the environment or PasswordFile
	PasswordFile string
}

// Input holds the keys input.*.
type Input struct {
	Topics []string // at least one, each once
	Format string   // auto, json, avro
	Schema string   // file with the schema of values that are Avro and nothing else; empty: none

	schemaText string // what is in it
}

// Output holds the keys output.*.
type Output struct {
	Topic       string
	Fields      []string // one of minimal, standard, full alone; or names of fields
	Headers     bool
	Compression string // none, gzip, snappy, lz4, zstd
}

// Visits holds the keys visits.*.
type Visits struct {
	Topic   string
	Format  string // json, avro
	Key     string // session, anonymous_id
	Started bool
}

// Policy says what becomes of an event that cannot be processed.
type Policy string

// The policies of dead_letters.on.
const (
	PolicyDeadLetter Policy = "dead_letter"
	PolicyPass       Policy = "pass"
	PolicyFail       Policy = "fail"
)

// DeadLetters holds the keys dead_letters.*.
type DeadLetters struct {
	Topic string
	On    map[string]Policy // by reason; PolicyFor knows the default
}

// PolicyFor returns the policy for a reason: dead_letter where none is given.
func (d *DeadLetters) PolicyFor(reason string) Policy {
	if p, ok := d.On[reason]; ok {
		return p
	}
	return PolicyDeadLetter
}

// Registry holds the keys registry.*.
type Registry struct {
	URL          string // one address, or several behind commas; empty: there is no registry
	AutoRegister bool   // schemas of what is written are registered; else they must be there
	Username     string
	Password     Secret // from the environment or PasswordFile
	PasswordFile string
	TLS          TLS // Enabled: URL is https://
}

// Session holds the keys session.*.
type Session struct {
	IDs           string // assign, adopt, enforce
	IDType        string // int64, uuid, string; empty: the profile's
	OnMissing     string // continue, none
	OnInvalid     string // replace, strip, dead_letter
	Timeout       time.Duration
	MobileTimeout time.Duration
	Boundary      string // after, at
	Splits        []string
	MaxDuration   time.Duration // 0: none
	MaxEvents     int           // 0: none
	Midnight      string        // an IANA zone; empty: none
	Retained      int           // 0: from lateness and timeouts
	Remembered    int
	Dedupe        Dedupe
}

// Dedupe holds the keys session.dedupe.*.
type Dedupe struct {
	Last   int    // 0: off
	Action string // flag, drop
}

// Time holds the keys time.*.
type Time struct {
	Sources         []string
	OutOfOrder      time.Duration
	Lateness        time.Duration
	FutureTolerance time.Duration
	TooLate         string // pass, dead_letter
	IdleAfter       time.Duration
	Retention       time.Duration
}

// State holds the keys state.*.
type State struct {
	Dir   string
	Cache int64 // bytes
}

// Commit holds the keys commit.*.
type Commit struct {
	Interval time.Duration
}

// Limits holds the keys limits.*.
type Limits struct {
	Record      int64 // bytes of a payload
	Batch       int64 // bytes of a decompressed batch
	JSONDepth   int
	AnonymousID int64 // bytes
}

// HTTP holds the keys http.*.
type HTTP struct {
	Address string // empty: no server
}

// Log holds the keys log.*.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, console, json
}

// LaneCount is how many lanes a process with so many cores runs.
func (c *Config) LaneCount(cores int) int {
	if c.Lanes > 0 {
		return c.Lanes
	}
	return max(1, cores/2)
}

// Changelog is the name of the changelog topic of an input topic.
func (c *Config) Changelog(topic string) string {
	return c.Kafka.Group + "-" + topic + "-changelog"
}

const day = 24 * time.Hour

// Defaults are the built-in defaults, which the profile comes on top of.
func Defaults() Config {
	return Config{
		Kafka: Kafka{
			Brokers: []string{"localhost:9092"}, Group: "sessionizer",
			SessionTimeout: 10 * time.Second, TransactionTimeout: 10 * time.Second,
		},
		Input: Input{Topics: []string{"events"}, Format: "auto"},
		Output: Output{
			Topic: "events.sessionized", Fields: []string{"standard"}, Compression: "lz4",
		},
		Visits:      Visits{Topic: "events.visits", Format: "json", Key: "session"},
		DeadLetters: DeadLetters{Topic: "events.dead-letters", On: map[string]Policy{}},
		Registry:    Registry{AutoRegister: true},
		Profile:     "krenalis",
		Paths:       map[string][]string{},
		Session: Session{
			IDs: "adopt", OnMissing: "continue", OnInvalid: "replace",
			Timeout: 30 * time.Minute, MobileTimeout: 5 * time.Minute,
			Boundary: "after", Splits: []string{"client_start"},
			Remembered: 64, Dedupe: Dedupe{Action: "flag"},
		},
		Time: Time{
			Sources:    []string{"timestamp", "originalTimestamp", "record"},
			OutOfOrder: time.Minute, Lateness: day, FutureTolerance: time.Minute,
			TooLate: "pass", IdleAfter: 10 * time.Second, Retention: 400 * day,
		},
		State:  State{Dir: "./sessionizer-state", Cache: 256 << 20},
		Commit: Commit{Interval: 200 * time.Millisecond},
		Limits: Limits{Record: 1 << 20, Batch: 64 << 20, JSONDepth: 64, AnonymousID: 1 << 10},
		Log:    Log{Level: "info", Format: "auto"},
	}
}

// Secret is a text that never shows itself: not in a format verb, not as JSON.
type Secret struct{ text string }

// NewSecret keeps a text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text, for the one place that hands it to the broker.
func (s Secret) Reveal() string { return s.text }

// IsZero says that there is none.
func (s Secret) IsZero() bool { return s.text == "" }

// String hides the text.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "(hidden)"
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
