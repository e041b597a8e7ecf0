package config

import "slices"

// absence is a key that is known and whose feature this version lacks. It is
// refused where it asks for the feature, and never ignored.
type absence struct {
	key  string
	what string // the feature, as the subject of "is not available in this version"
	asks func(c *Config) bool
}

// absences is the one list of what this version lacks; a feature that arrives
// deletes its line.
func absences() []absence {
	return []absence{
		{"kafka.sasl.mechanism", "OAUTHBEARER",
			func(c *Config) bool { return c.Kafka.SASL.Mechanism == "OAUTHBEARER" }},
		{"profile", "this profile",
			func(c *Config) bool { return slices.Contains(profilesAbsent(), c.Profile) }},
		{"http.address", "the HTTP server", func(c *Config) bool { return c.HTTP.Address != "" }},
	}
}

// checkAbsences refuses what is asked for and not there. What such a key would
// need besides is not told: it has no use yet.
func (l *loader) checkAbsences() {
	for _, a := range absences() {
		if origin, given := l.origins[a.key]; given && a.asks(&l.config) {
			l.fault(origin, a.key, faultf("%s is not available in this version", a.what))
			l.doubtful[a.key] = true
		}
	}
}
