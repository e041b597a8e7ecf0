package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sessionizer/internal/audit"
)

// A batch that cannot be read has one dead letter for all of its records.
func TestRun_ADeadLetterStandsForTheRecordsOfItsBatch(t *testing.T) {
	for _, c := range []struct {
		name, cut, reason string
		want              audit.Check // empty: none
	}{
		{"AllOfThem", "the records up to offset %d", "limit", ""},
		{"OneTooFew", "the records up to offset %d", "limit", audit.CheckLost},
		{"AnotherReason", "the records up to offset %d", "no_key", audit.CheckDeadLetter},
		{"ItEndsBeforeItBegins", "the records up to offset 1", "limit", audit.CheckDeadLetter},
		{"ItIsOfOne", "value of %d bytes", "limit", audit.CheckLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, `{}`, 1)
			w.draw(t, 60)
			w.run(t)
			in := topicPartition{w.config.Input.Topics[0], 0}
			from := w.records[in][len(w.records[in])-1].Offset + 1
			for range 4 {
				w.append(in.topic, 0, audit.Record{Key: []byte("x"), Value: []byte(`{"a":1}`), TimestampMs: 1})
			}
			w.committed[in] = from + 4
			last := from + 3
			if c.name == "OneTooFew" {
				last--
			}
			if strings.Contains(c.cut, "%d") {
				c.cut = fmt.Sprintf(c.cut, last)
			}
			dead := audit.Record{TimestampMs: 1}
			for _, h := range [][2]string{{"topic", in.topic}, {"partition", "0"},
				{"offset", fmt.Sprint(from)}, {"reason", c.reason}, {"message", "too large"}, {"cut", c.cut}} {
				dead.Headers = append(dead.Headers,
					audit.Header{Key: "__sessionizer.errors." + h[0], Value: []byte(h[1])})
			}
			w.append(w.config.DeadLetters.Topic, 0, dead)
			r := w.verify(t)
			if c.want == "" && !r.Clean() || c.want != "" && r.Checks[c.want] == 0 {
				t.Errorf("want %q, got %v", c.want, r.Findings)
			}
		})
	}
}

// away is a registry that does not answer.
type away struct{}

func (away) Schema(context.Context, uint32) (text, unfit string, err error) {
	return "", "", errors.New("the registry is away")
}

func TestRun_WithoutTheRegistryThereIsNoVerdict(t *testing.T) {
	w := newAvroWorld(t, `{}`, framed, 1)
	w.draw(t, 60)
	w.run(t)
	c := w.audit
	c.Schemas = away{}
	_, err := audit.Run(t.Context(), c, w)
	if err == nil || !strings.Contains(err.Error(), "the registry is away") {
		t.Errorf("got %v, want an error of the registry", err)
	}
}
