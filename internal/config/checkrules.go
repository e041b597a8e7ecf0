package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sessionizer/session"
)

// checkRules looks at what the rules are among each other and to other keys.
func (l *loader) checkRules() {
	for i := range l.config.Rules {
		r := &l.config.Rules[i]
		l.checkRuleTimes(r)
		l.checkRulePaths(r)
	}
	l.checkReach()
}

// checkReach warns of rules that an earlier one hides. What a rule with a fault was meant to match
// is not known.
func (l *loader) checkReach() {
	for _, f := range l.faults {
		if strings.HasPrefix(f.Key, "rules") {
			return
		}
	}
	conditions := map[string]int{} // the first rule with these
	everything := -1               // the first rule without conditions
	for i := range l.config.Rules {
		r := &l.config.Rules[i]
		var texts []string
		for _, c := range r.When {
			texts = append(texts, fmt.Sprintf("%#v", c))
		}
		slices.Sort(texts)
		same := fmt.Sprint(texts)
		first, seen := conditions[same]
		switch {
		case r.origin.layer == layerProfile && !l.isProfiles(max(first, everything)):
			// The user's rules come first so that they may hide those of the profile.
		case everything >= 0:
			l.warnRule(r, "", faultf("is never reached: %s matches every event",
				l.config.Rules[everything].Name))
		case seen:
			l.warnRule(r, "", faultf("is never reached: %s matches the same events",
				l.config.Rules[first].Name))
		}
		if !seen {
			conditions[same] = i
		}
		if len(r.When) == 0 && everything < 0 && r.raw.has(ruleWhen) {
			everything = i
		}
	}
}

// checkRulePaths warns of a condition that takes the name of a path for the
// member that is read there: user_id for userId.
func (l *loader) checkRulePaths(r *Rule) {
	names := pathNames()
	for _, m := range r.raw.member(ruleWhen).members {
		if !slices.Contains(names, m.name) {
			continue
		}
		paths, given := l.config.Paths[m.name]
		if !given {
			paths = l.profile.Paths[m.name]
		}
		if len(paths) > 0 && !slices.Contains(paths, m.name) {
			l.warnRule(r, ruleWhen+"."+m.name, faultf("is a member of that name; what paths.%s "+
				"stands for is %s", m.name, strings.Join(paths, ", ")))
		}
	}
}

func (l *loader) isProfiles(i int) bool {
	return i >= 0 && l.config.Rules[i].origin.layer == layerProfile
}

func (l *loader) warnRule(r *Rule, key string, f *fault) {
	o := r.origin
	if key != "" {
		o.line, key = r.lines[key], "."+key
	}
	l.warnings = append(l.warnings, Fault{Origin: o, Key: r.key + key, Problem: f.problem})
}

func (l *loader) checkRuleTimes(r *Rule) {
	e := r.Effect
	if e.Timeout == 1 && l.config.Session.Boundary == "at" && !l.doubtful["session.boundary"] {
		reader := ruleReader{loader: l, rule: r}
		reader.fault(ruleTimeout, r.raw.member(ruleTimeout),
			faultf("1ms leaves nothing with session.boundary at"))
	}
	if e.MaxDuration > 0 && e.MaxDuration < e.Timeout {
		l.warnRule(r, ruleMaxDuration, short(e.MaxDuration, "the timeout of the rule", e.Timeout))
	}
}

// checkSplits warns of keys of session.* that others make useless or strange.
func (l *loader) checkSplits() {
	s := &l.config.Session
	if s.MaxDuration > 0 && s.MaxDuration < s.Timeout {
		l.warn("session.max_duration",
			short(millis(s.MaxDuration), "session.timeout", millis(s.Timeout)))
	}
	if s.Dedupe.Last == 0 && s.Dedupe.Action != Defaults().Session.Dedupe.Action {
		l.warn("session.dedupe.action", faultf("has no effect: session.dedupe.last is 0"))
	}
}

func short(duration session.Millis, what string, timeout session.Millis) *fault {
	text := func(ms session.Millis) string {
		return durationText(time.Duration(ms) * time.Millisecond)
	}
	return faultf("%s is less than %s (%s): a session of that length ends however short its "+
		"silences are", text(duration), what, text(timeout))
}
