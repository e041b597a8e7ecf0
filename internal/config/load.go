package config

import (
	"errors"
	"io/fs"
	"slices"
	"sort"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// DefaultFile is read where no file is named and it is there.
const DefaultFile = "sessionizer.yaml"

// Sources is where a configuration comes from.
type Sources struct {
	File      string     // of --config; empty: DefaultFile if it is there
	Set       []string   // of --set: key=value, a later one wins
	Environ   []string   // NAME=value, as os.Environ gives it
	Overrides []Override // after everything else, a later one wins
	Offline   bool       // no broker will be spoken to: the files kafka.* names are left alone
	ReadFile  func(name string) ([]byte, error)
	Hostname  func() (string, error)
}

// Override is a mapping with keys of the configuration inside of another YAML file.
type Override struct {
	Name string // of that file
	Key  string // of the mapping in that file, which its faults name before theirs
	Node *yaml.Node
}

// loader collects what the sources say.
type loader struct {
	sources      Sources
	table        []key
	assignments  []assignment
	faults       Faults
	warnings     Faults
	config       Config
	origins      map[string]Origin // of the value in force, by key; absent: the default
	profile      schemas.Profile   // of the name that is in force; zero: it is not usable
	profileRules []Rule
	profileFile  *profileFile    // nil: the profile is a built-in one
	doubtful     map[string]bool // keys whose value is not known: wrong, or perhaps misspelt
}

// Load reads every source and checks the whole. The error, if there is one,
// is of type Faults and holds everything that is wrong; the other Faults are
// warnings, with which the Config can be used.
func Load(s Sources) (*Config, Faults, error) {
	l := load(s)
	if len(l.faults) > 0 {
		return nil, l.warnings.sorted(), l.faults.sorted()
	}
	return &l.config, l.warnings.sorted(), nil
}

func load(s Sources) *loader {
	l := newLoader(s)
	l.readFile()
	l.readEnvironment()
	l.readSet()
	l.readOverrides()
	l.finish()
	return l
}

func newLoader(s Sources) *loader {
	return &loader{sources: s, table: keys(), config: Defaults(), origins: map[string]Origin{},
		doubtful: map[string]bool{}}
}

// finish makes the configuration of what the sources say.
func (l *loader) finish() {
	l.applyProfile()
	for _, a := range l.assignments {
		l.apply(a)
	}
	l.config.Rules = append(l.config.Rules, l.profileRules...)
	l.doubt()
	l.check()
}

func (l *loader) fault(o Origin, key string, f *fault) {
	for ; f != nil; f = f.next {
		at := o
		if f.line > 0 {
			at.line = f.line
		}
		l.faults = append(l.faults,
			Fault{Origin: at, Key: key, Problem: f.problem, Nearest: f.nearest})
	}
}

func (l *loader) warn(key string, f *fault) {
	l.warnings = append(l.warnings, Fault{
		Origin: l.origins[key], Key: key, Problem: f.problem, Nearest: f.nearest,
	})
}

// doubt notes the keys that the faults so far are about, and those that they
// may have meant. A fault between keys is not told of them: it may be no fault
// at all when the others are mended.
func (l *loader) doubt() {
	for _, f := range l.faults {
		l.doubtful[f.Key] = true
		l.doubtful[f.Nearest] = true
		for i := range l.table {
			if f.Nearest == l.table[i].variable() {
				l.doubtful[l.table[i].name] = true
			}
		}
	}
}

// apply puts one value in force. A wrong one leaves the value before it in
// place, so that the checks across keys still say what they can.
func (l *loader) apply(a assignment) {
	if a.key.name == rulesKey {
		l.applyRules(a.value)
		return
	}
	f := a.key.set(&l.config, a.value)
	l.origins[a.key.name] = a.value.origin
	if f != nil {
		l.fault(a.value.origin, a.key.name, f)
	}
}

func (l *loader) readFile() {
	name := l.sources.File
	if name == "" {
		name = DefaultFile
	}
	document, err := l.sources.ReadFile(name)
	if err != nil {
		if l.sources.File == "" && errors.Is(err, fs.ErrNotExist) {
			return
		}
		l.fault(Origin{layer: layerFile, name: name}, "", unreadable(name, err))
		return
	}
	l.document(layerFile, name, document)
}

func (l *loader) document(at layer, name string, document []byte) {
	r := newFileReader(at, name, l.table)
	r.read(document)
	l.assignments = append(l.assignments, r.assignments...)
	l.faults = append(l.faults, r.faults...)
}

func (l *loader) readOverrides() {
	for _, o := range l.sources.Overrides {
		r := newFileReader(layerOverride, o.Name, l.table)
		r.under = o.Key
		r.mapping("", o.Node)
		l.assignments = append(l.assignments, r.assignments...)
		l.faults = append(l.faults, r.faults...)
	}
}

// isServiceLink finds the variables that Kubernetes sets for the services of a
// namespace: NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_SERVICE_PORT_WEB,
// NAME_PORT, NAME_PORT_80_TCP, NAME_PORT_80_TCP_ADDR. Those of a service named
// sessionizer, or sessionizer-live, look like ours and are not.
func isServiceLink(variable string) bool {
	name := "_" + strings.TrimPrefix(variable, variablePrefix)
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.HasSuffix(name, "_SERVICE_PORT") ||
		strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_SERVICE_PORT_") {
		return true
	}
	_, rest, ok := strings.Cut(name, "_PORT_")
	parts := strings.Split(rest, "_")
	return ok && (len(parts) == 2 || len(parts) == 3) && parts[0] != "" &&
		strings.Trim(parts[0], "0123456789") == "" &&
		slices.Contains([]string{"TCP", "UDP", "SCTP"}, parts[1])
}

func (l *loader) readEnvironment() {
	byVariable := map[string]*key{}
	var names []string
	for i := range l.table {
		byVariable[l.table[i].variable()] = &l.table[i]
		names = append(names, l.table[i].variable())
	}
	environ := slices.Clone(l.sources.Environ)
	sort.Strings(environ)
	for i, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || isServiceLink(name) {
			continue
		}
		origin := Origin{layer: layerEnvironment, name: name, order: i}
		k, ok := byVariable[name]
		if !ok {
			l.fault(origin, "", unknown("no key goes by this name", nearest(name, names, "")))
			continue
		}
		l.assignments = append(l.assignments,
			assignment{key: k, value: value{origin: origin, text: text}})
	}
}

func (l *loader) readSet() {
	r := newFileReader(layerSet, "", l.table)
	for i, entry := range l.sources.Set {
		origin := Origin{layer: layerSet, order: i}
		name, text, ok := strings.Cut(entry, "=")
		name = strings.TrimSpace(name)
		k := r.keys[name]
		switch {
		case k != nil && k.secret:
			l.fault(origin, name, secretFault(k))
		case !ok:
			l.fault(origin, "", faultf("want key=value, found %s", shown(name)))
		case r.sections[name]:
			l.fault(origin, name, faultf("is a section: set one of its keys"))
		case k == nil:
			l.fault(origin, name, unknown("no such key", nearest(name, r.names, ".")))
		default:
			l.assignments = append(l.assignments,
				assignment{key: k, value: value{origin: origin, text: text}})
		}
	}
}
