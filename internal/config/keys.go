package config

import (
	"slices"
	"strings"
	"time"

	"sessionizer/session"
)

// key is one key of the configuration: its name, its meaning, and how its
// value is read into a Config.
type key struct {
	name   string
	about  string
	secret bool // never from a file or --set, never shown
	set    func(c *Config, v value) *fault
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
	eventsMax             = 1 << 31
	cacheMin              = 1 << 20
	cacheMax              = 1 << 44
	recordMin             = 1 << 10
	recordMax             = 64 << 20
	jsonDepthMax          = 10_000
	anonymousIDMax        = 64 << 10
	brokersMax            = 1_000
	topicsMax             = 1_000
)

// Reasons are the reasons of dead letters, the keys of dead_letters.on.
func reasons() []string {
	return []string{
		"malformed", "limit", "no_key", "no_time", "bad_context", "invalid_id", "too_late",
	}
}

// pathNames are the keys of paths.
func pathNames() []string {
	return []string{
		"anonymous_id", "user_id", "message_id", "type", "event", "timestamp", "original_timestamp",
		"sent_at", "received_at", "session_id", "session_start", "source", "channel", "library",
	}
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
		{name: "kafka.brokers", about: "brokers to start from, host:port",
			set: texts(func(c *Config) *[]string { return &c.Kafka.Brokers }, brokers)},
		{name: "kafka.group", about: "consumer group; begins transactional ids and changelogs' names",
			set: text(func(c *Config) *string { return &c.Kafka.Group }, legalName)},
		{name: "kafka.instance", about: "stable name of this process; default: the host name",
			set: text(func(c *Config) *string { return &c.Kafka.Instance }, legalNameOrNothing)},
		{name: "kafka.tls.enabled", about: "speak TLS to the brokers",
			set: boolean(func(c *Config) *bool { return &c.Kafka.TLS.Enabled })},
		{name: "kafka.tls.ca_file", about: "PEM file of the authorities to trust; default: the system's",
			set: text(func(c *Config) *string { return &c.Kafka.TLS.CAFile })},
		{name: "kafka.tls.cert_file", about: "PEM file of the client's certificate",
			set: text(func(c *Config) *string { return &c.Kafka.TLS.CertFile })},
		{name: "kafka.tls.key_file", about: "PEM file of the client's private key",
			set: text(func(c *Config) *string { return &c.Kafka.TLS.KeyFile })},
		{name: "kafka.tls.server_name", about: "name to find in the brokers' certificates",
			set: text(func(c *Config) *string { return &c.Kafka.TLS.ServerName })},
		{name: "kafka.sasl.mechanism", about: "PLAIN (only over TLS), SCRAM-SHA-256 or SCRAM-SHA-512",
			set: choice(func(c *Config) *string { return &c.Kafka.SASL.Mechanism },
				"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")},
		{name: "kafka.sasl.username", about: "user name",
			set: text(func(c *Config) *string { return &c.Kafka.SASL.Username })},
		{name: "kafka.sasl.password", about: "password, from the environment only", secret: true,
			set: secret(func(c *Config) *Secret { return &c.Kafka.SASL.Password })},
		{name: "kafka.sasl.password_file", about: "file that holds the password",
			set: text(func(c *Config) *string { return &c.Kafka.SASL.PasswordFile })},
		{name: "kafka.session_timeout", about: "silence after which the group gives a member up",
			set: duration(func(c *Config) *time.Duration { return &c.Kafka.SessionTimeout },
				time.Second, sessionTimeoutMax)},
		{name: "kafka.transaction_timeout", about: "age at which the broker aborts an open transaction",
			set: duration(func(c *Config) *time.Duration { return &c.Kafka.TransactionTimeout },
				time.Second, transactionTimeoutMax)},
	}
}

func topicKeys() []key {
	ks := []key{
		{name: "input.topics", about: "topics to read, all with the same number of partitions",
			set: texts(func(c *Config) *[]string { return &c.Input.Topics }, topics)},
		{name: "input.format", about: "auto, json or avro",
			set: choice(func(c *Config) *string { return &c.Input.Format }, "auto", "json", "avro")},
		{name: "output.topic", about: "topic of the sessionized events",
			set: text(func(c *Config) *string { return &c.Output.Topic }, legalName)},
		{name: "output.fields", about: "minimal, standard, full, or a list of fields",
			set: outputFields},
		{name: "output.headers", about: "session-id, session-start, session-index as record headers too",
			set: boolean(func(c *Config) *bool { return &c.Output.Headers })},
		{name: "output.compression", about: "none, gzip, snappy, lz4 or zstd",
			set: choice(func(c *Config) *string { return &c.Output.Compression },
				"none", "gzip", "snappy", "lz4", "zstd")},
		{name: "visits.topic", about: "topic of the Visit Ended records",
			set: text(func(c *Config) *string { return &c.Visits.Topic }, legalName)},
		{name: "visits.format", about: "json or avro",
			set: choice(func(c *Config) *string { return &c.Visits.Format }, "json", "avro")},
		{name: "visits.key", about: "record key of the visits: session (its uuid) or anonymous_id",
			set: choice(func(c *Config) *string { return &c.Visits.Key }, "session", "anonymous_id")},
		{name: "visits.started", about: "Visit Started records too",
			set: boolean(func(c *Config) *bool { return &c.Visits.Started })},
		{name: "dead_letters.topic", about: "topic of what cannot be processed",
			set: text(func(c *Config) *string { return &c.DeadLetters.Topic }, legalName)},
	}
	for _, reason := range reasons() {
		ks = append(ks, key{
			name: "dead_letters.on." + reason, about: "policy: dead_letter, pass or fail",
			set: func(c *Config, v value) *fault {
				var policy string
				set := choice(func(*Config) *string { return &policy },
					string(PolicyDeadLetter), string(PolicyPass), string(PolicyFail))
				if f := set(c, v); f != nil {
					return f
				}
				c.DeadLetters.On[reason] = Policy(policy)
				return nil
			},
		})
	}
	return ks
}

func registryKeys() []key {
	return []key{
		{name: "registry.url", about: "Confluent-compatible schema registry",
			set: text(func(c *Config) *string { return &c.Registry.URL })},
		{name: "registry.username", about: "user name",
			set: text(func(c *Config) *string { return &c.Registry.Username })},
		{name: "registry.password", about: "password, from the environment only", secret: true,
			set: secret(func(c *Config) *Secret { return &c.Registry.Password })},
		{name: "registry.password_file", about: "file that holds the password",
			set: text(func(c *Config) *string { return &c.Registry.PasswordFile })},
		{name: "registry.tls.enabled", about: "speak TLS to the registry",
			set: boolean(func(c *Config) *bool { return &c.Registry.TLS.Enabled })},
		{name: "registry.tls.ca_file", about: "PEM file of the authorities to trust",
			set: text(func(c *Config) *string { return &c.Registry.TLS.CAFile })},
		{name: "registry.tls.cert_file", about: "PEM file of the client's certificate",
			set: text(func(c *Config) *string { return &c.Registry.TLS.CertFile })},
		{name: "registry.tls.key_file", about: "PEM file of the client's private key",
			set: text(func(c *Config) *string { return &c.Registry.TLS.KeyFile })},
		{name: "registry.tls.server_name", about: "name to find in the registry's certificate",
			set: text(func(c *Config) *string { return &c.Registry.TLS.ServerName })},
	}
}

func payloadKeys() []key {
	ks := []key{{
		name: "profile", about: "preset of the keys that follow: a name, or a path to a file",
		set: text(func(c *Config) *string { return &c.Profile }, notEmpty),
	}}
	for _, name := range pathNames() {
		ks = append(ks, key{
			name: "paths." + name, about: "path in the payload, or several in order of preference",
			set: func(c *Config, v value) *fault {
				paths, f := asOneOrMore(v)
				if f == nil {
					c.Paths[name] = paths
				}
				return f
			},
		})
	}
	return append(ks, key{name: "rules", about: "first-match list of rules", set: countRules})
}

func sessionKeys() []key {
	return []key{
		{name: "session.ids", about: "assign, adopt or enforce: what a client's session id is worth",
			set: choice(func(c *Config) *string { return &c.Session.IDs }, "assign", "adopt", "enforce")},
		{name: "session.id_type", about: "int64, uuid or string; default: the profile's",
			set: idType},
		{name: "session.on_missing", about: "continue or none: an event without a client id",
			set: choice(func(c *Config) *string { return &c.Session.OnMissing }, "continue", "none")},
		{name: "session.on_invalid", about: "replace, strip or dead_letter: an invalid client id",
			set: choice(func(c *Config) *string { return &c.Session.OnInvalid },
				"replace", "strip", "dead_letter")},
		{name: "session.timeout", about: "silence that ends a session",
			set: duration(func(c *Config) *time.Duration { return &c.Session.Timeout },
				time.Millisecond, timesMax)},
		{name: "session.mobile_timeout", about: "the same for mobile libraries",
			set: duration(func(c *Config) *time.Duration { return &c.Session.MobileTimeout },
				time.Millisecond, timesMax)},
		{name: "session.boundary", about: "after or at: whether a gap of exactly the timeout continues",
			set: choice(func(c *Config) *string { return &c.Session.Boundary }, "after", "at")},
		{name: "session.splits", about: "client_start, user_change, campaign",
			set: choices(func(c *Config) *[]string { return &c.Session.Splits },
				"client_start", "user_change", "campaign")},
		{name: "session.max_duration", about: "longest session; 0: none",
			set: duration(func(c *Config) *time.Duration { return &c.Session.MaxDuration }, 0, timesMax)},
		{name: "session.max_events", about: "most events of a session; 0: none",
			set: integer(func(c *Config) *int { return &c.Session.MaxEvents }, 0, eventsMax)},
		{name: "session.midnight", about: "IANA zone whose midnight ends sessions; empty: none",
			set: text(func(c *Config) *string { return &c.Session.Midnight })},
		{name: "session.retained", about: "sessions of a key kept for late events; 0: from the times",
			set: integer(func(c *Config) *int { return &c.Session.Retained }, 0, retainedMax)},
		{name: "session.remembered", about: "forgotten ids of a key that resume when they return",
			set: integer(func(c *Config) *int { return &c.Session.Remembered }, 0, rememberedMax)},
		{name: "session.dedupe.last", about: "message ids of a key that are remembered; 0: off",
			set: integer(func(c *Config) *int { return &c.Session.Dedupe.Last }, 0, rememberedMax)},
		{name: "session.dedupe.action", about: "flag or drop a duplicate",
			set: choice(func(c *Config) *string { return &c.Session.Dedupe.Action }, "flag", "drop")},
	}
}

func timeKeys() []key {
	return []key{
		{name: "time.sources", about: "where the event time is taken from, in order of preference",
			set: choices(func(c *Config) *[]string { return &c.Time.Sources },
				"timestamp", "originalTimestamp", "record", "corrected")},
		{name: "time.out_of_order", about: "how far the watermark stays behind the greatest time",
			set: duration(func(c *Config) *time.Duration { return &c.Time.OutOfOrder }, 0, timesMax)},
		{name: "time.lateness", about: "how long an ended session is retained for late events",
			set: duration(func(c *Config) *time.Duration { return &c.Time.Lateness }, 0, timesMax)},
		{name: "time.future_tolerance", about: "how far an event may lie ahead of its record's timestamp",
			set: duration(func(c *Config) *time.Duration { return &c.Time.FutureTolerance }, 0, timesMax)},
		{name: "time.too_late", about: "pass or dead_letter",
			set: choice(func(c *Config) *string { return &c.Time.TooLate }, "pass", "dead_letter")},
		{name: "time.idle_after", about: "silence after which the wall clock ends visits",
			set: duration(func(c *Config) *time.Duration { return &c.Time.IdleAfter },
				100*time.Millisecond, timesMax)},
		{name: "time.retention", about: "how long the history of a key is kept",
			set: duration(func(c *Config) *time.Duration { return &c.Time.Retention },
				time.Minute, timesMax)},
	}
}

func processKeys() []key {
	return []key{
		{name: "state.dir", about: "directory of the local state",
			set: text(func(c *Config) *string { return &c.State.Dir }, notEmpty)},
		{name: "state.cache", about: "memory for state",
			set: size(func(c *Config) *int64 { return &c.State.Cache }, cacheMin, cacheMax)},
		{name: "commit.interval", about: "longest time between commits",
			set: duration(func(c *Config) *time.Duration { return &c.Commit.Interval },
				time.Millisecond, transactionTimeoutMax)},
		{name: "lanes", about: "transactional clients of the process; 0: half the cores",
			set: integer(func(c *Config) *int { return &c.Lanes }, 0, lanesMax)},
		{name: "limits.record", about: "largest payload",
			set: size(func(c *Config) *int64 { return &c.Limits.Record }, recordMin, recordMax)},
		{name: "limits.json_depth", about: "deepest nesting of a payload",
			set: integer(func(c *Config) *int { return &c.Limits.JSONDepth }, 2, jsonDepthMax)},
		{name: "limits.anonymous_id", about: "longest anonymous id",
			set: size(func(c *Config) *int64 { return &c.Limits.AnonymousID }, 1, anonymousIDMax)},
		{name: "http.address", about: "address of the metrics, probes and live page; empty: none",
			set: text(func(c *Config) *string { return &c.HTTP.Address })},
		{name: "log.level", about: "debug, info, warn or error",
			set: choice(func(c *Config) *string { return &c.Log.Level },
				"debug", "info", "warn", "error")},
		{name: "log.format", about: "auto, console or json",
			set: choice(func(c *Config) *string { return &c.Log.Format }, "auto", "console", "json")},
	}
}
