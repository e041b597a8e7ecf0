package config

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// profilesAbsent are the planned profiles that this version lacks.
func profilesAbsent() []string {
	return slices.DeleteFunc([]string{"rudderstack", "snowplow", "tracardi"}, isBuiltIn)
}

func isBuiltIn(profile string) bool { return slices.Contains(schemas.Profiles(), profile) }

// isPath tells a path to a profile from the name of one.
func isPath(profile string) bool {
	return strings.ContainsAny(profile, `/\`) || strings.HasSuffix(profile, ".yaml") ||
		strings.HasSuffix(profile, ".yml")
}

// applyProfile puts the presets of the profile below all other assignments.
// Which profile is in force has to be known before, so its key is read ahead.
func (l *loader) applyProfile() {
	for _, a := range l.assignments {
		if a.key.name == "profile" {
			// A fault is told when the assignment is applied with the others.
			_ = a.key.set(&l.config, a.value)
			l.origins["profile"] = a.value.origin
		}
	}
	name := l.config.Profile
	var p schemas.Profile
	var err error
	switch {
	case isPath(name):
		if p = l.readProfile(name); l.config.profile == nil {
			// What it presets is looked at all the same: its faults are told with the others.
			l.applyPresets(name, &p.Config)
			return
		}
	case isBuiltIn(name):
		if p, err = schemas.LoadProfile(name); err != nil {
			l.cross(faultf("%v", err), "profile")
			return
		}
	default:
		return
	}
	l.profile = p
	l.applyPresets(name, &p.Config)
}

// applyPresets puts the part of a profile that has the form of a configuration below all else.
func (l *loader) applyPresets(name string, presets *yaml.Node) {
	if presets.Kind != yaml.MappingNode {
		return
	}
	r := newFileReader(layerProfile, name, l.table)
	r.mapping("", presets)
	for _, a := range r.assignments {
		if a.key.name == "profile" {
			l.fault(a.value.origin, "profile", faultf("a profile cannot be based on another"))
		}
	}
	r.assignments = slices.DeleteFunc(r.assignments, func(a assignment) bool {
		return a.key.name == "profile"
	})
	l.assignments = append(r.assignments, l.assignments...)
	l.faults = append(l.faults, r.faults...)
}

// readProfile reads the profile from a file. Where that is not usable the configuration has none,
// and what is returned is no more than its presets.
func (l *loader) readProfile(name string) schemas.Profile {
	document, err := l.sources.ReadFile(name)
	if err != nil {
		l.cross(unreadable(name, err), "profile")
		return schemas.Profile{}
	}
	f := parseProfile(name, document)
	l.faults = append(l.faults, f.faults...)
	l.profileFile = f
	if len(f.faults) > 0 {
		return schemas.Profile{Config: f.presets()}
	}
	l.config.profile = &f.profile
	return f.profile
}

func (l *loader) checkProfile() {
	if f := unknownProfile(l.config.Profile); f != nil {
		l.cross(f, "profile")
	}
}

func unknownProfile(name string) *fault {
	if isPath(name) || isBuiltIn(name) || slices.Contains(profilesAbsent(), name) {
		return nil
	}
	f := faultf("no such profile: %s", shown(name))
	f.nearest = nearest(name, slices.Concat(schemas.Profiles(), profilesAbsent()), "")
	return f
}

// ShowProfile returns the YAML of a profile, byte for byte: of a built-in one
// by its name, of one in a file by its path. The error, if the profile cannot
// be used, is of type Faults.
func ShowProfile(name string, readFile func(string) ([]byte, error)) ([]byte, error) {
	argument := Origin{layer: layerArgument}
	if f := unknownProfile(name); f != nil {
		return nil, Faults{{Origin: argument, Problem: f.problem, Nearest: f.nearest}}
	}
	l := newLoader(Sources{
		Offline: true, ReadFile: readFile,
		Hostname: func() (string, error) { return "", nil },
	})
	for i := range l.table {
		if k := &l.table[i]; k.name == "profile" {
			l.assignments = []assignment{{k, value{origin: argument, text: name}}}
		}
	}
	l.finish()
	if len(l.faults) > 0 {
		return nil, l.faults.sorted()
	}
	return l.profile.Source, nil
}
