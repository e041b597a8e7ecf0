package config

import (
	"slices"
	"strings"
	"time"
)

// check looks at what no single key can tell.
func (l *loader) check() {
	l.checkAbsences()
	l.checkProfile()
	l.checkTopics()
	l.checkTimes()
	l.checkSplits()
	l.checkRules()
	l.checkTransactions()
	l.checkSASL()
	l.checkTLS(tlsUse{"kafka.tls.", "kafka.tls.enabled", "without kafka.tls.enabled: true"},
		&l.config.Kafka.TLS)
	l.checkAvro()
	l.checkRegistry()
	l.checkPolicies()
	if !l.sources.Offline {
		l.checkInstance()
	}
	l.checkEngine()
}

// cross is a fault between keys: it is told at the one that was given last.
func (l *loader) cross(f *fault, keys ...string) {
	for _, k := range keys {
		if l.doubtful[k] {
			return
		}
	}
	at := keys[0]
	for _, k := range keys[1:] {
		if later(l.origins[k], l.origins[at]) {
			at = k
		}
	}
	l.fault(l.origins[at], at, f)
}

func later(a, b Origin) bool {
	if a.layer != b.layer {
		return a.layer > b.layer
	}
	if a.line != b.line {
		return a.line > b.line
	}
	return a.order > b.order
}

// checkTopics finds a topic that would be read and written, or written as two
// things.
func (l *loader) checkTopics() {
	c := &l.config
	type use struct{ key, topic string }
	var uses []use
	for _, topic := range c.Input.Topics {
		uses = append(uses, use{"input.topics", topic})
	}
	uses = append(uses, use{"output.topic", c.Output.Topic}, use{"visits.topic", c.Visits.Topic},
		use{"dead_letters.topic", c.DeadLetters.Topic})
	for i, u := range uses {
		for _, before := range uses[:i] {
			switch {
			case u.topic == before.topic:
				l.cross(faultf("%s and %s are both the topic %s", before.key, u.key, u.topic),
					before.key, u.key)
			case metricName(u.topic) == metricName(before.topic):
				// A broker has one metric for both and refuses to make the second.
				l.cross(faultf("%s and %s differ only in '.' and '_': Kafka has no two such topics",
					before.topic, u.topic), before.key, u.key)
			}
		}
	}
	for _, topic := range c.Input.Topics {
		name := c.Changelog(topic)
		if len(name) > topicNameMax {
			l.cross(faultf("the changelog's name %s is longer than %d characters", shown(name),
				topicNameMax), "kafka.group", "input.topics")
		}
		for _, u := range uses {
			switch {
			case u.topic == name:
				l.cross(faultf("%s is the name of the changelog of %s", name, topic), "kafka.group", u.key)
			case metricName(u.topic) == metricName(name):
				l.cross(faultf("%s and the changelog %s differ only in '.' and '_': Kafka has no two such "+
					"topics", u.topic, name), "kafka.group", u.key)
			}
		}
	}
}

// metricName is a topic's name as a broker's metrics have it.
func metricName(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

func (l *loader) checkTimes() {
	c := &l.config
	if c.Time.Lateness < c.Time.OutOfOrder {
		l.cross(faultf("time.lateness (%s) is less than time.out_of_order (%s)",
			durationText(c.Time.Lateness), durationText(c.Time.OutOfOrder)),
			"time.lateness", "time.out_of_order")
	}
	if c.Time.Retention < c.Time.Lateness {
		l.cross(faultf("time.retention (%s) is less than time.lateness (%s)",
			durationText(c.Time.Retention), durationText(c.Time.Lateness)),
			"time.lateness", "time.retention")
	}
	if len(c.Time.Sources) == 0 {
		l.cross(faultf("the list is empty: want at least one source"), "time.sources")
	}
	if c.Session.Boundary == "at" {
		l.checkBoundaryAt("session.timeout", c.Session.Timeout)
		l.checkBoundaryAt("session.mobile_timeout", c.Session.MobileTimeout)
	}
}

// checkBoundaryAt refuses a timeout that boundary: at, which makes every one a
// millisecond shorter, would make nothing of.
func (l *loader) checkBoundaryAt(key string, timeout time.Duration) {
	if timeout <= time.Millisecond {
		l.cross(faultf("%s leaves nothing with session.boundary at", durationText(timeout)),
			key, "session.boundary")
	}
}

// commitsPerTransactionTimeout is how many commits fit into the transaction
// timeout at least: a commit that is due only then comes too late.
const commitsPerTransactionTimeout = 2

func (l *loader) checkTransactions() {
	c := &l.config
	if c.Commit.Interval > c.Kafka.TransactionTimeout/commitsPerTransactionTimeout {
		l.cross(faultf("commit.interval (%s) is more than half of kafka.transaction_timeout (%s): "+
			"the broker would abort what is to be committed", durationText(c.Commit.Interval),
			durationText(c.Kafka.TransactionTimeout)), "commit.interval", "kafka.transaction_timeout")
	}
	if c.Kafka.TransactionTimeout > c.Kafka.SessionTimeout {
		if _, given := l.origins["kafka.transaction_timeout"]; given {
			l.warn("kafka.transaction_timeout", faultf("%s is more than kafka.session_timeout (%s): "+
				"who takes over from a dead process may wait for the rest of it",
				durationText(c.Kafka.TransactionTimeout), durationText(c.Kafka.SessionTimeout)))
		}
	}
}

func (l *loader) checkSASL() {
	c := &l.config.Kafka
	const mechanism, password, passwordFile = "kafka.sasl.mechanism", "kafka.sasl.password",
		"kafka.sasl.password_file"
	if l.doubtful[mechanism] {
		return
	}
	if c.SASL.Mechanism == "" {
		l.noEffect("without "+mechanism, mechanism, "kafka.sasl.username", password, passwordFile)
		return
	}
	if c.SASL.Mechanism == "PLAIN" && !c.TLS.Enabled {
		l.cross(faultf("PLAIN sends the password in the clear: want kafka.tls.enabled: true"),
			mechanism, "kafka.tls.enabled")
	}
	if c.SASL.Username == "" {
		l.cross(faultf("%s wants kafka.sasl.username", c.SASL.Mechanism), mechanism,
			"kafka.sasl.username")
	}
	by := wanter{c.SASL.Mechanism, mechanism}
	l.checkPassword(by, password, passwordFile, &c.SASL.Password, c.SASL.PasswordFile)
}

// wanter is what a password is wanted for, and the key that says so.
type wanter struct{ what, key string }

// checkPassword finds the one password that is wanted, in the environment or a file.
func (l *loader) checkPassword(
	by wanter, key, fileKey string, password *Secret, file string,
) {
	plain, named := l.origins[key], l.origins[fileKey]
	switch {
	case password.IsZero() && file == "":
		if plain.layer == layerDefault && named.layer == layerDefault {
			l.cross(faultf("%s wants %s, or %s%s in the environment", by.what, fileKey,
				variablePrefix, variableName(key)), by.key, key, fileKey)
		}
	case plain.layer == layerEnvironment && named.layer == layerEnvironment:
		l.cross(faultf("%s is given as well: want one of them", key), fileKey)
	case file != "" && named.layer > plain.layer && !l.sources.Offline:
		l.readPassword(fileKey, password, file)
	}
}

// noEffect finds keys that are given and mean nothing while another is as it is.
func (l *loader) noEffect(why, other string, names ...string) {
	defaults := Defaults()
	for i := range l.table {
		k := &l.table[i]
		origin, given := l.origins[k.name]
		if !given || !slices.Contains(names, k.name) || l.doubtful[other] || l.doubtful[k.name] ||
			k.get(&l.config) == k.get(&defaults) {
			continue
		}
		l.fault(origin, k.name, faultf("has no effect %s", why))
	}
}

func (l *loader) readPassword(key string, password *Secret, file string) {
	content, err := l.sources.ReadFile(file)
	if err != nil {
		l.cross(unreadable(file, err), key)
		return
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		l.cross(faultf("%s is empty", file), key)
		return
	}
	*password = NewSecret(text)
}

// checkPolicies warns of a policy for a reason that no event can have.
func (l *loader) checkPolicies() {
	c := &l.config
	const invalid, late = "dead_letters.on.invalid_id", "dead_letters.on.too_late"
	if _, given := l.origins[invalid]; given && c.Session.OnInvalid != "dead_letter" {
		l.warn(invalid, faultf("has no effect: session.on_invalid is %s", c.Session.OnInvalid))
	}
	if _, given := l.origins[late]; given && c.Time.TooLate != "dead_letter" {
		l.warn(late, faultf("has no effect: time.too_late is %s", c.Time.TooLate))
	}
}

func (l *loader) checkInstance() {
	const key = "kafka.instance"
	c := &l.config
	if c.Kafka.Instance != "" {
		return
	}
	name, err := l.sources.Hostname()
	if err != nil {
		l.cross(faultf("is empty, and the host has no name to use: %v", err), key)
		return
	}
	if f := legalName(name); f != nil {
		l.cross(faultf("is empty, and the host's name cannot be used: %s", f.problem), key)
		return
	}
	c.Kafka.Instance = name
}
