//go:build kafka

package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A changelog that has lost its beginning holds some keys and not others: no state is made of it.
func TestRefusal_OfATruncatedChangelog(t *testing.T) {
	t.Parallel()
	outcome(t, "changelog truncated: refused")
	p := processed(t, 2)
	p.setPolicy(t, "compact,delete") // a broker deletes records of no other
	var upTo kadm.Offsets
	for id, end := range p.ends(t, p.changelog, true) {
		upTo.AddOffset(p.changelog, id, end/2, -1)
	}
	deleted, err := p.adm.DeleteRecords(ask(t), upTo)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatalf("delete records of %s: %v", p.changelog, err)
	}
	p.refuses(t, "two", "cleanup.policy")
	p.setPolicy(t, "compact")
	p.refuses(t, "two", "changelog", "OPERATING.md") // it has no state directory
}

func (p *pipeline) setPolicy(t *testing.T, policy string) {
	t.Helper()
	altered, err := p.adm.AlterTopicConfigs(ask(t), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy},
	}, p.changelog)
	if err == nil {
		err = altered[0].Err
	}
	if err != nil {
		t.Fatalf("alter %s: %v", p.changelog, err)
	}
}
