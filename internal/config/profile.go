package config

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// profilesAbsent are the profiles that this version lacks.
func profilesAbsent() []string { return []string{"rudderstack", "snowplow", "tracardi"} }

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
		}
	}
	if !slices.Contains(schemas.Profiles(), l.config.Profile) {
		return
	}
	p, err := schemas.LoadProfile(l.config.Profile)
	if err != nil {
		l.cross(faultf("%v", err), "profile")
		return
	}
	if p.Config.Kind != yaml.MappingNode {
		return
	}
	r := newFileReader(layerProfile, p.Name, l.table)
	r.mapping("", &p.Config)
	l.assignments = append(r.assignments, l.assignments...)
	l.faults = append(l.faults, r.faults...)
}

func (l *loader) checkProfile() {
	p := l.config.Profile
	if isPath(p) || slices.Contains(profilesAbsent(), p) || slices.Contains(schemas.Profiles(), p) {
		return
	}
	f := faultf("no such profile: %s", shown(p))
	f.nearest = nearest(p, slices.Concat(schemas.Profiles(), profilesAbsent()), "")
	l.cross(f, "profile")
}
