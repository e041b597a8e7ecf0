package config

import (
	"slices"
	"strings"
	"time"

	"sessionizer/schemas"
	"sessionizer/session"
)

// key is one key of the configuration: its name, its meaning, and its type.
type key struct {
	name   string
	about  string
	secret bool // never from a file or --set, never shown
	field
}

// variable is the name of a key in the environment.
func (k *key) variable() string { return variablePrefix + variableName(k.name) }

const variablePrefix = "SESSIONIZER_"

func variableName(key string) string {
	return strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Limits of what makes sense, each named for the fault that tells of it.
const (
	sessionTimeoutMax     = 30 * time.Minute // a broker's group.max.session.timeout.ms
	transactionTimeoutMax = 15 * time.Minute // a broker's transaction.max.timeout.ms
	timesMax              = 100 * 365 * day
	lanesMax              = 256
	retainedMax           = session.RetainedMax
	rememberedMax         = session.RememberedMax
	dedupeMax             = session.DedupeMax
	eventsMax             = 1 << 31
	cacheMin              = 1 << 20
	cacheMax              = 1 << 44
	recordMin             = 1 << 10
	recordMax             = 64 << 20
	batchMin              = 64 << 10
	batchMax              = 1 << 30
	jsonDepthMax          = 10_000
	anonymousIDMax        = 64 << 10
	brokersMax            = 1_000
	topicsMax             = 1_000
)

// places are the keys of paths, each with what is at the path in an event.
func places() [][2]string {
	return [][2]string{
		{"anonymous_id", "whose event it is; $key: the record key, alone or last"},
		{"user_id", "the known user"},
		{"message_id", "the event's own id"},
		{"type", "type of the event: page, screen, track, ..."},
		{"event", "name of the event"},
		{"timestamp", "time of the event, for the source timestamp"},
		{"original_timestamp", "time of the event by the client's clock"},
		{"sent_at", "when it was sent, by the client's clock"},
		{"received_at", "when it was received, by the server's clock"},
		{"session_id", "the client's session id"},
		{"session_start", "the client's start marker"},
		{"source", "which source it is from: one customer is another one in each"},
		{"channel", "channel, which tells mobile platforms"},
		{"library", "name of the library, which tells mobile platforms"},
		{"url", "address of a page, for entry and exit, and the campaign and click ids in its query"},
		{"screen", "name of a screen, for entry and exit"},
		{"referrer", "where the visitor came from"},
		{"campaign", "campaign as an object of name, source, ...; without one: the url's utm_*; " +
			"click ids that it lacks: the url's"},
		{"context", "what a session keeps of the first event that has it: device, system, app"},
	}
}

// pathNames are the keys of paths.
func pathNames() []string {
	var names []string
	for _, p := range places() {
		names = append(names, p[0])
	}
	return names
}

// fieldNames are the fields output.fields may list.
func fieldNames() []string {
	return []string{
		"id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt", "reason", "gapMs",
		"clamped", "duplicate", "timeoutMs", "idSource", "clientId", "late", "state", "campaign",
	}
}

func fieldSets() []string { return []string{"minimal", "standard", "full"} }

// keys is every key there is, in the order of the reference.
func keys() []key {
	return slices.Concat(
		kafkaKeys(), topicKeys(), registryKeys(), payloadKeys(), sessionKeys(), timeKeys(),
		processKeys(),
	)
}

func kafkaKeys() []key {
	return []key{
		{name: "kafka.brokers",
			about: "brokers to start from, host:port; the others are found through them",
			field: texts(func(c *Config) *[]string { return &c.Kafka.Brokers }, brokers())},
		{name: "kafka.group",
			about: "consumer group; transactional ids and changelogs' names begin with it",
			field: text(func(c *Config) *string { return &c.Kafka.Group }, legalName)},
		{name: "kafka.instance", about: "stable name of this process; none: the host name",
			field: text(func(c *Config) *string { return &c.Kafka.Instance }, legalNameOrNothing)},
		{name: "kafka.tls.enabled", about: "speak TLS to the brokers",
			field: boolean(func(c *Config) *bool { return &c.Kafka.TLS.Enabled })},
		{name: "kafka.tls.ca_file",
			about: "PEM file of the authorities to trust; none: the system's",
			field: text(func(c *Config) *string { return &c.Kafka.TLS.CAFile })},
		{name: "kafka.tls.cert_file", about: "PEM file of the client's certificate",
			field: text(func(c *Config) *string { return &c.Kafka.TLS.CertFile })},
		{name: "kafka.tls.key_file", about: "PEM file of the client's private key",
			field: text(func(c *Config) *string { return &c.Kafka.TLS.KeyFile })},
		{name: "kafka.tls.server_name",
			about: "name to find in the brokers' certificates; none: the broker's host",
			field: text(func(c *Config) *string { return &c.Kafka.TLS.ServerName })},
		{name: "kafka.sasl.mechanism",
			about: "how to log in; none: not at all; PLAIN only over TLS",
			field: choice(func(c *Config) *string { return &c.Kafka.SASL.Mechanism },
				"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")},
		{name: "kafka.sasl.username", about: "user to log in as",
			field: text(func(c *Config) *string { return &c.Kafka.SASL.Username })},
		{name: "kafka.sasl.password",
			about: "password of the user; only in the environment", secret: true,
			field: secret(func(c *Config) *Secret { return &c.Kafka.SASL.Password })},
		{name: "kafka.sasl.password_file", about: "file that holds the password of the user",
			field: text(func(c *Config) *string { return &c.Kafka.SASL.PasswordFile })},
		{name: "kafka.session_timeout", about: "silence after which the group gives a member up",
			field: duration(func(c *Config) *time.Duration { return &c.Kafka.SessionTimeout },
				time.Second, sessionTimeoutMax)},
		{name: "kafka.transaction_timeout",
			about: "age at which the broker aborts an open transaction",
			field: duration(func(c *Config) *time.Duration { return &c.Kafka.TransactionTimeout },
				time.Second, transactionTimeoutMax)},
	}
}

func topicKeys() []key {
	ks := []key{
		{name: "input.topics", about: "topics to read, all with the same number of partitions",
			field: texts(func(c *Config) *[]string { return &c.Input.Topics }, topics())},
		{name: "input.format",
			about: "form of the events; auto: by the bytes of each, Avro only with a schema id",
			field: choice(func(c *Config) *string { return &c.Input.Format }, "auto", "json", "avro")},
		{name: "input.schema",
			about: "file with the schema of Avro events without a schema id; none: the registry has it",
			field: text(func(c *Config) *string { return &c.Input.Schema })},
		{name: "output.topic", about: "topic of the sessionized events",
			field: text(func(c *Config) *string { return &c.Output.Topic }, legalName)},
		{name: "output.fields", about: "what is said of its session in each event",
			field: outputFields()},
		{name: "output.headers",
			about: "session-id, session-start and session-index as record headers too",
			field: boolean(func(c *Config) *bool { return &c.Output.Headers })},
		{name: "output.compression", about: "compression of all that is produced",
			field: choice(func(c *Config) *string { return &c.Output.Compression },
				"none", "gzip", "snappy", "lz4", "zstd")},
		{name: "visits.topic", about: "topic of the Visit Ended records, and of Visit Started",
			field: text(func(c *Config) *string { return &c.Visits.Topic }, legalName)},
		{name: "visits.format",
			about: "form of the visits; Avro names its schema by an id where there is a registry",
			field: choice(func(c *Config) *string { return &c.Visits.Format }, "json", "avro")},
		{name: "visits.key",
			about: "record key of the visits: the session's uuid, or the anonymous id",
			field: choice(func(c *Config) *string { return &c.Visits.Key }, "session", "anonymous_id")},
		{name: "visits.started",
			about: "a Visit Started record at the first event of each session too",
			field: boolean(func(c *Config) *bool { return &c.Visits.Started })},
		{name: "dead_letters.topic", about: "topic of what cannot be processed",
			field: text(func(c *Config) *string { return &c.DeadLetters.Topic }, legalName)},
	}
	for _, reason := range schemas.Reasons() {
		name := string(reason)
		ks = append(ks, key{name: "dead_letters.on." + name, field: policyOf(name),
			about: "what becomes of an event that cannot be processed for this reason"})
	}
	return ks
}

func registryKeys() []key {
	return []key{
		{name: "registry.url",
			about: "address of a Confluent-compatible schema registry; several behind commas",
			field: text(func(c *Config) *string { return &c.Registry.URL }, registryURL)},
		{name: "registry.auto_register",
			about: "register the schemas of what is written; else they must be registered before",
			field: boolean(func(c *Config) *bool { return &c.Registry.AutoRegister })},
		{name: "registry.username", about: "user to log in as",
			field: text(func(c *Config) *string { return &c.Registry.Username })},
		{name: "registry.password",
			about: "password of the user; only in the environment", secret: true,
			field: secret(func(c *Config) *Secret { return &c.Registry.Password })},
		{name: "registry.password_file", about: "file that holds the password of the user",
			field: text(func(c *Config) *string { return &c.Registry.PasswordFile })},
		{name: "registry.tls.enabled", about: "speak TLS to the registry: what https:// says too",
			field: boolean(func(c *Config) *bool { return &c.Registry.TLS.Enabled })},
		{name: "registry.tls.ca_file", about: "PEM file of the authorities to trust; none: the system's",
			field: text(func(c *Config) *string { return &c.Registry.TLS.CAFile })},
		{name: "registry.tls.cert_file", about: "PEM file of the client's certificate",
			field: text(func(c *Config) *string { return &c.Registry.TLS.CertFile })},
		{name: "registry.tls.key_file", about: "PEM file of the client's private key",
			field: text(func(c *Config) *string { return &c.Registry.TLS.KeyFile })},
		{name: "registry.tls.server_name", about: "name to find in the registry's certificate",
			field: text(func(c *Config) *string { return &c.Registry.TLS.ServerName })},
	}
}

func payloadKeys() []key {
	ks := []key{{
		name: "profile", about: "where things are in the events, and presets: a name, or the path of a file",
		field: text(func(c *Config) *string { return &c.Profile }, notEmpty),
	}}
	for _, p := range places() {
		ks = append(ks, key{name: "paths." + p[0], about: p[1], field: pathsOf(p[0])})
	}
	return append(ks, key{name: rulesKey, field: rulesField(),
		about: "what is particular to some events; the first rule that matches one counts"})
}

func sessionKeys() []key {
	return []key{
		{name: "session.ids",
			about: "a client's session ids: ignored, kept if valid, or kept while they obey the rules",
			field: choice(func(c *Config) *string { return &c.Session.IDs }, "assign", "adopt", "enforce")},
		{name: "session.id_type", about: "type of session ids",
			field: idType()},
		{name: "session.on_missing",
			about: "an event without a client id: the session it touches or a new one, or none",
			field: choice(func(c *Config) *string { return &c.Session.OnMissing }, "continue", "none")},
		{name: "session.on_invalid",
			about: "an event with an invalid client id: as if it had none, or no session, or dead",
			field: choice(func(c *Config) *string { return &c.Session.OnInvalid },
				"replace", "strip", "dead_letter")},
		{name: "session.timeout", about: "silence that ends a session",
			field: duration(func(c *Config) *time.Duration { return &c.Session.Timeout },
				time.Millisecond, timesMax)},
		{name: "session.mobile_timeout", about: "silence that ends a session of a mobile library",
			field: duration(func(c *Config) *time.Duration { return &c.Session.MobileTimeout },
				time.Millisecond, timesMax)},
		{name: "session.boundary",
			about: "a gap of exactly the timeout: the session ends after it, or at it",
			field: choice(func(c *Config) *string { return &c.Session.Boundary }, "after", "at")},
		{name: "session.splits",
			about: "what else begins a new session: a start marker, another user, another campaign",
			field: splits()},
		{name: "session.max_duration", about: "longest session; 0s: any length",
			field: duration(func(c *Config) *time.Duration { return &c.Session.MaxDuration }, 0, timesMax)},
		{name: "session.max_events", about: "most events of a session; 0: any number",
			field: integer(func(c *Config) *int { return &c.Session.MaxEvents }, 0, eventsMax)},
		{name: "session.midnight",
			about: "IANA zone, such as Europe/Rome, whose midnight begins a new session; none: no matter",
			field: text(func(c *Config) *string { return &c.Session.Midnight }, zone)},
		{name: "session.retained",
			about: "sessions of a key kept for late events; 0: from time.lateness and the timeouts",
			field: integer(func(c *Config) *int { return &c.Session.Retained }, 0, retainedMax)},
		{name: "session.remembered",
			about: "forgotten ids of a key that resume when a client sends them again",
			field: integer(func(c *Config) *int { return &c.Session.Remembered }, 0, rememberedMax)},
		{name: "session.dedupe.last",
			about: "message ids of a key that duplicates are found by; 0: none are looked for",
			field: integer(func(c *Config) *int { return &c.Session.Dedupe.Last }, 0, dedupeMax)},
		{name: "session.dedupe.action",
			about: "a duplicate is flagged and counted apart, or dropped",
			field: choice(func(c *Config) *string { return &c.Session.Dedupe.Action }, "flag", "drop")},
	}
}

func timeKeys() []key {
	return []key{
		{name: "time.sources",
			about: "where the time of an event is taken from, in order of preference",
			field: choices(func(c *Config) *[]string { return &c.Time.Sources },
				"timestamp", "originalTimestamp", "record", "corrected")},
		{name: "time.out_of_order",
			about: "how far the watermark stays behind the greatest event time",
			field: duration(func(c *Config) *time.Duration { return &c.Time.OutOfOrder }, 0, timesMax)},
		{name: "time.lateness", about: "how long an ended session takes late events",
			field: duration(func(c *Config) *time.Duration { return &c.Time.Lateness }, 0, timesMax)},
		{name: "time.future_tolerance",
			about: "how far an event's time may be ahead of its record's timestamp",
			field: duration(func(c *Config) *time.Duration { return &c.Time.FutureTolerance }, 0, timesMax)},
		{name: "time.too_late", about: "an event too late for any session: no session, or dead",
			field: choice(func(c *Config) *string { return &c.Time.TooLate }, "pass", "dead_letter")},
		{name: "time.idle_after",
			about: "silence of a partition after which the wall clock ends visits",
			field: duration(func(c *Config) *time.Duration { return &c.Time.IdleAfter },
				100*time.Millisecond, timesMax)},
		{name: "time.retention", about: "how long the history of a key is kept",
			field: duration(func(c *Config) *time.Duration { return &c.Time.Retention },
				time.Minute, timesMax)},
	}
}

func processKeys() []key {
	return []key{
		{name: "state.dir", about: "directory of the local state; one process alone",
			field: text(func(c *Config) *string { return &c.State.Dir }, notEmpty)},
		{name: "state.cache", about: "memory for the local state",
			field: size(func(c *Config) *int64 { return &c.State.Cache }, cacheMin, cacheMax)},
		{name: "commit.interval", about: "longest time from an event to its commit",
			field: duration(func(c *Config) *time.Duration { return &c.Commit.Interval },
				time.Millisecond, transactionTimeoutMax)},
		{name: "lanes", about: "transactional clients of the process; 0: half the cores",
			field: integer(func(c *Config) *int { return &c.Lanes }, 0, lanesMax)},
		{name: "limits.record", about: "largest event",
			field: size(func(c *Config) *int64 { return &c.Limits.Record }, recordMin, recordMax)},
		{name: "limits.batch",
			about: "what a batch may decompress to; a larger one is read record by record",
			field: size(func(c *Config) *int64 { return &c.Limits.Batch }, batchMin, batchMax)},
		{name: "limits.json_depth", about: "most objects and arrays open at once in an event",
			field: integer(func(c *Config) *int { return &c.Limits.JSONDepth }, 2, jsonDepthMax)},
		{name: "limits.anonymous_id", about: "longest anonymous id, source, user id",
			field: size(func(c *Config) *int64 { return &c.Limits.AnonymousID }, 1, anonymousIDMax)},
		{name: "http.address",
			about: "address of metrics, probes and the live page; none: no server",
			field: text(func(c *Config) *string { return &c.HTTP.Address })},
		{name: "log.level", about: "least grave messages that are logged",
			field: choice(func(c *Config) *string { return &c.Log.Level },
				"debug", "info", "warn", "error")},
		{name: "log.format", about: "form of the log; auto: console on a terminal, else json",
			field: choice(func(c *Config) *string { return &c.Log.Format }, "auto", "console", "json")},
	}
}
