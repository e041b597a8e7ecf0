package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// registryNames are the keys that mean nothing without registry.url.
func registryNames() []string {
	return []string{
		"registry.auto_register", "registry.username", "registry.password", "registry.password_file",
		"registry.tls.enabled", "registry.tls.ca_file", "registry.tls.cert_file",
		"registry.tls.key_file", "registry.tls.server_name",
	}
}

// MayBeAvro says that an event may be Avro: then schemas.Config needs a Book.
func (c *Config) MayBeAvro() bool {
	switch c.Input.Format {
	case "avro":
		return true
	case "auto":
		return c.Registry.URL != ""
	}
	return false
}

// Framed says that Avro events name their schema by its id in the registry.
func (c *Config) Framed() bool { return c.MayBeAvro() && c.Input.Schema == "" }

// URLs are the registry's addresses; nil: there is none.
func (r *Registry) URLs() []string {
	if r.URL == "" {
		return nil
	}
	return strings.Split(r.URL, ",")
}

// checkAvro looks at where the schemas of events and visits come from.
func (l *loader) checkAvro() {
	c := &l.config
	if l.doubtful["input.format"] {
		return
	}
	if c.Input.Format != "avro" {
		l.noEffect("without input.format: avro", "input.format", "input.schema")
		return
	}
	if c.Input.Schema != "" {
		l.readSchema()
		l.checkRawPolicies()
		return
	}
	if c.Registry.URL == "" {
		l.cross(faultf("Avro events need their schema: want registry.url, or input.schema where each "+
			"value is Avro and nothing else"), "input.format", "registry.url", "input.schema")
	}
}

// checkRawPolicies refuses events that would go out as they came in: nothing in front of a value
// says which schema it has, and all others have that of the output.
func (l *loader) checkRawPolicies() {
	for _, reason := range slices.Sorted(maps.Keys(l.config.DeadLetters.On)) {
		if key := "dead_letters.on." + reason; l.config.DeadLetters.On[reason] == PolicyPass {
			l.cross(faultf("an event that passes has the schema of input.schema, not that of the "+
				"output, and nothing says so: want dead_letter or fail, or registry.url"),
				key, "input.schema")
		}
	}
}

func (l *loader) readSchema() {
	in := &l.config.Input
	content, err := l.sources.ReadFile(in.Schema)
	switch {
	case err != nil:
		l.cross(unreadable(in.Schema, err), "input.schema")
	case strings.TrimSpace(string(content)) == "":
		l.cross(faultf("%s is empty", in.Schema), "input.schema")
	default:
		in.schemaText = string(content)
	}
}

func (l *loader) checkRegistry() {
	r := &l.config.Registry
	if r.URL == "" {
		l.noEffect("without registry.url", "registry.url", registryNames()...)
		return
	}
	if l.doubtful["registry.url"] {
		return
	}
	if !l.config.Framed() && l.config.Visits.Format != "avro" {
		l.warn("registry.url", faultf("has no effect: neither events nor visits have a schema there"))
	}
	secure := slices.ContainsFunc(r.URLs(), isHTTPS)
	given := l.origins["registry.tls.enabled"].layer != layerDefault
	if given && r.TLS.Enabled != secure {
		l.cross(faultf("registry.tls.enabled is %t and registry.url says otherwise: want %s there",
			r.TLS.Enabled, scheme(r.TLS.Enabled)), "registry.tls.enabled", "registry.url")
		return
	}
	r.TLS.Enabled = secure
	l.checkTLS(tlsUse{"registry.tls.", "registry.url", "without https:// in registry.url"}, &r.TLS)
	l.checkRegistryUser(secure)
}

func isHTTPS(address string) bool { return strings.HasPrefix(address, "https://") }

func scheme(tls bool) string {
	if tls {
		return "https://"
	}
	return "http://"
}

func (l *loader) checkRegistryUser(secure bool) {
	const user, password, passwordFile = "registry.username", "registry.password",
		"registry.password_file"
	r := &l.config.Registry
	if r.Username == "" {
		l.noEffect("without "+user, user, password, passwordFile)
		return
	}
	if !secure {
		l.warn(user, faultf("the password is sent in the clear: registry.url is not https://"))
	}
	l.checkPassword(wanter{user, user}, password, passwordFile, &r.Password, r.PasswordFile)
}

// registryURL checks a list of addresses.
func registryURL(text string) *fault {
	if text == "" {
		return nil
	}
	const want = "want http://host:port or https://host:port, several behind commas, each with its " +
		"path if it has one"
	all := strings.Split(text, ",")
	for _, one := range all {
		u, err := url.Parse(one)
		switch {
		case err != nil:
			return faultf("%s, found what is no URL", want) // it may hold a password
		case u.User != nil:
			return faultf("holds a user: want registry.username and registry.password_file for that")
		case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "",
			u.Fragment != "":
			return faultf("%s, found %s", want, shown(one))
		case isHTTPS(one) != isHTTPS(all[0]):
			return faultf("http:// and https:// are mixed: want the same for all addresses")
		}
	}
	return nil
}
