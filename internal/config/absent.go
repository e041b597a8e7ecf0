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
	return slices.Concat(registryAbsences(), []absence{
		{"kafka.sasl.mechanism", "OAUTHBEARER",
			func(c *Config) bool { return c.Kafka.SASL.Mechanism == "OAUTHBEARER" }},
		{"input.format", "Avro", func(c *Config) bool { return c.Input.Format == "avro" }},
		{"visits.format", "Avro", func(c *Config) bool { return c.Visits.Format == "avro" }},
		{"profile", "this profile",
			func(c *Config) bool { return slices.Contains(profilesAbsent(), c.Profile) }},
		{"http.address", "the HTTP server", func(c *Config) bool { return c.HTTP.Address != "" }},
	})
}

func registryAbsences() []absence {
	const what = "a schema registry"
	return []absence{
		{"registry.url", what, func(c *Config) bool { return c.Registry.URL != "" }},
		{"registry.username", what, func(c *Config) bool { return c.Registry.Username != "" }},
		{"registry.password", what, func(c *Config) bool { return !c.Registry.Password.IsZero() }},
		{"registry.password_file", what,
			func(c *Config) bool { return c.Registry.PasswordFile != "" }},
		{"registry.tls.enabled", what, func(c *Config) bool { return c.Registry.TLS.Enabled }},
		{"registry.tls.ca_file", what, func(c *Config) bool { return c.Registry.TLS.CAFile != "" }},
		{"registry.tls.cert_file", what,
			func(c *Config) bool { return c.Registry.TLS.CertFile != "" }},
		{"registry.tls.key_file", what, func(c *Config) bool { return c.Registry.TLS.KeyFile != "" }},
		{"registry.tls.server_name", what,
			func(c *Config) bool { return c.Registry.TLS.ServerName != "" }},
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
