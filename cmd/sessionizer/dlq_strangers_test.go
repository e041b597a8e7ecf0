package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Others may write to the dead-letter topic: nothing of their records reaches a terminal as it is.

func TestDLQ_ShowsNothingThatATerminalObeys(t *testing.T) {
	c := newDLQCluster(t)
	const evil = "\x1b[2J\u009b1m\x7f\r\u202e\xff"
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: "__sessionizer.errors." + name, Value: []byte(value)}
	}
	r := &kgo.Record{
		Topic: "events.dead-letters", Key: []byte("key" + evil), Value: []byte("value" + evil),
		Timestamp: dlqDay, Headers: []kgo.RecordHeader{
			{Key: "own" + evil, Value: []byte(evil)},
			header("topic", "pay"+evil+"ments"), header("partition", "0"), header("offset", "17"),
			header("reason", "mal"+evil+"formed"), header("message", "message"+evil),
		},
	}
	cut := *r
	cut.Headers = append(append([]kgo.RecordHeader{}, r.Headers...), header("cut", "cut"+evil))
	if err := c.cl.ProduceSync(t.Context(), r, &cut).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ args, holds string }{
		{"show", "mal?[2J?1m????formed"},
		{"show --payload", "value?[2J"},
		{"show --json", `\u001b[2J\u009b1m\u007f`},
		{"redrive", "it is from pay?[2J"},
		{"redrive --json", `"topic":1`},
		{"redrive --yes", "refused           2 (cut 1, topic 1)"},
	} {
		r := c.sessionizer(exitFine, append([]string{"dlq"}, strings.Fields(x.args)...)...)
		all := r.stdout + r.stderr
		if i := strings.IndexFunc(all, func(r rune) bool {
			return r != '\n' && unicode.IsControl(r)
		}); i >= 0 {
			t.Errorf("%s: %q", x.args, all[max(i-40, 0):i+4])
		}
		if !utf8.ValidString(all) || !strings.Contains(all, x.holds) {
			t.Errorf("%s: no %q in\n%s", x.args, x.holds, all)
		}
	}
	// Escaped, nothing is lost.
	show := c.sessionizer(exitFine, "dlq", "show", "--json").stdout
	_, line, _ := strings.Cut(show, `{"topic":"pay`)
	line, _, _ = strings.Cut(`{"topic":"pay`+line, "\n")
	var l letterJSON
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatal(err)
	}
	if want := "mal" + strings.ToValidUTF8(evil, "\ufffd") + "formed"; l.Reason != want {
		t.Errorf("reason %q, want %q", l.Reason, want)
	}
}
