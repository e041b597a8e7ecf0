package processor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"go.uber.org/zap"

	"sessionizer/schemas"
	"sessionizer/schemas/registry"
	"sessionizer/session"
	"sessionizer/state"
)

// Config is everything Run needs. All fields are required unless their comment says otherwise.
type Config struct {
	Brokers  []string
	Group    string // consumer group; transactional ids and the changelogs' names begin with it
	Instance string // stable name of this process within the group
	TLS      *tls.Config
	SASL     sasl.Mechanism

	SessionTimeout     time.Duration // of the group membership
	TransactionTimeout time.Duration // the broker aborts a transaction left open this long

	Input       []string // topics, all with the same number of partitions
	Output      string
	Visits      string
	DeadLetters string
	VisitKey    VisitKey
	Headers     bool // stamped events name their session in record headers too
	Compression kgo.CompressionCodec
	// BatchBytes is what a batch of the input may decompress to and be held in memory; a larger one
	// is read record by record. 0: 64 MiB.
	BatchBytes int

	Rules  *session.Rules
	Codec  *schemas.Codec
	Policy Policy

	// Registry fills the codec's book. nil: there is no registry, and no event names its schema.
	Registry *registry.Learner
	// VisitsSchema is what the registry is to know before visits are written, under the subject of
	// their topic. Empty: nothing.
	VisitsSchema string

	IdleAfter      time.Duration // silence after which the wall clock may end visits
	CommitInterval time.Duration
	Lanes          int
	UntilEnd       bool // process up to the end offsets seen at the start, then return

	StateDir string
	State    state.Options // Due is filled in by Run

	Log *zap.Logger

	// Dial replaces the network; nil: TCP. Tests and the demo cut connections through it.
	Dial func(ctx context.Context, network, host string) (net.Conn, error)
	// Halt, when done, makes Run return at once: nothing is finished, flushed or left.
	// nil: never. It is the second signal of an operator and the crash of the demo.
	Halt <-chan struct{}
}

// VisitKey is what the record key of a visit is.
type VisitKey uint8

const (
	// BySession keys a visit by its session's uuid: a compacted topic keeps the last revision.
	BySession VisitKey = iota
	// ByAnonymousID keys it by the anonymous id.
	ByAnonymousID
)

// Policy says what becomes of events that cannot be processed.
type Policy struct {
	On map[schemas.Reason]Action // absent: DeadLetter
}

// Action is the fate of an event that cannot be processed.
type Action uint8

const (
	// DeadLetter sends it to the dead-letter topic with headers that say why.
	DeadLetter Action = iota
	// Pass sends it unchanged to the output topic.
	Pass
	// Fail stops the processor with an error that names the record.
	Fail
)

// Of returns what happens to an event that was refused for the given reason.
func (p Policy) Of(r schemas.Reason) Action { return p.On[r] }

// Limits of one transaction and one poll. They bound memory and the time a rebalance can wait.
const (
	// pollRecordsMax is more than a fetch has of events of a kilobyte: what a poll leaves of a fetch
	// has fewer partitions, which are worked on side by side, and holds up the next fetch.
	pollRecordsMax   = 30_000
	txnRecordsMax    = 200_000   // records a transaction may hold before it is committed early
	txnBytesMax      = 128 << 20 // bytes of values produced, likewise
	txnRowsMax       = 100_000   // dirty rows of one partition, likewise
	timersPerTickMax = 10_000    // visits of one partition ended by time in one step
	metadataBytesMax = 4096      // what the broker accepts as offset metadata
	tickEvery        = 250 * time.Millisecond
	fetchMaxWait     = 500 * time.Millisecond
	fetchBytesMax    = 4 << 20 // compressed bytes of a fetch; a client may hold one of each broker
	producerLinger   = 5 * time.Millisecond
	metadataMaxAge   = 10 * time.Second
	// metadataMinAge is how long the client waits between looks at the metadata. A produce that a
	// broker refuses at first, as it may right after a transaction's end, is tried again only after
	// one: the client's own 5 s would be a stall of as much.
	metadataMinAge    = 100 * time.Millisecond
	heartbeatInterval = 3 * time.Second
	topologyEvery     = 10 * time.Second // how often the partition counts and topic ids are looked up
	closeWait         = 5 * time.Second  // for a client that is thrown away
	endSlack          = 2 * time.Second  // an end gives up this long before the broker would
	endWait           = 8 * time.Second  // and after this long at the latest
	endHold           = time.Second      // rebalances wait for an end no longer than this
)

// ChangelogTopic names the compacted topic that holds the state of one input topic.
func (c *Config) ChangelogTopic(input string) string {
	return c.Group + "-" + input + "-changelog"
}

func (c *Config) topics(input string) Topics {
	return Topics{
		Output: c.Output, Visits: c.Visits, DeadLetters: c.DeadLetters,
		Changelog: c.ChangelogTopic(input), VisitsByAnonymousID: c.VisitKey == ByAnonymousID,
		Headers: c.Headers,
	}
}

// TransactionalID names the producer and the static group member of one lane.
func (c *Config) TransactionalID(lane int) string {
	return fmt.Sprintf("%s-%s-%d", c.Group, c.Instance, lane)
}

// endDeadline is how long the end of a transaction may take: less than the broker's own
// timeout, so that an end that hangs is given up before the broker has decided.
func (c *Config) endDeadline() time.Duration {
	if c.TransactionTimeout > 2*endSlack {
		return min(c.TransactionTimeout-endSlack, endWait)
	}
	return c.TransactionTimeout / 2
}

func (c *Config) batchBytes() int {
	if c.BatchBytes == 0 {
		return batchBytesDefault
	}
	return c.BatchBytes
}

// clientOpts are the options that every client of this process shares.
func (c *Config) clientOpts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("sessionizer"),
		kgo.SoftwareNameAndVersion("sessionizer", "1"),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.DisableClientMetrics(),
		kgo.WithLogger(clientLog{c.Log}),
	}
	switch {
	case c.Dial != nil:
		opts = append(opts, kgo.Dialer(c.Dial))
	case c.TLS != nil:
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	return opts
}

// clientLog hands the client's own messages to the process's log, one level lower than the
// client gives them: a retried request is no news to an operator.
type clientLog struct{ log *zap.Logger }

func (l clientLog) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zap.DebugLevel) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	fields := make([]zap.Field, 0, len(keyvals)/2)
	for i := 0; i+1 < len(keyvals); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(keyvals[i]), keyvals[i+1]))
	}
	if level == kgo.LogLevelError {
		l.log.Warn("kafka client: "+msg, fields...)
		return
	}
	l.log.Debug("kafka client: "+msg, fields...)
}
