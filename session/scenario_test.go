package session

// Scenarios are the rules as strangers read them: events in, what became of each out. Every step
// goes through the bytes of the row and the history, so that each scenario also proves that nothing
// the machine needs is missing in them.

import (
	"bytes"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// scenarioDay is the day of the times of scenarios: 2026-03-02.
const scenarioDay = Time(1_772_409_600_000)

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find scenarios: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			var k *keyFeed
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				switch d.Cmd {
				case "feed":
					k = newKeyFeed(t, d)
				case "then": // the same key goes on, with other settings where some are given
					k.set(t, d)
				default:
					d.Fatalf(t, "unknown command %s", d.Cmd)
				}
				for line := range strings.Lines(d.Input) {
					k.line(t, d, strings.TrimSpace(line))
				}
				return k.take()
			})
		})
	}
}

// keyFeed is one key of a partition, fed by lines.
type keyFeed struct {
	rules        Rules
	show         map[string]bool
	user         string
	day          Time     // that of the times of events
	names        []string // of the rules, as in rules.Effects
	row, history []byte
	state        State
	w            Watermarks
	out          Outcome
	offset       int64
	printed      strings.Builder
}

func newKeyFeed(t *testing.T, d *datadriven.TestData) *keyFeed {
	k := &keyFeed{rules: DefaultRules(), w: Watermarks{Event: NoTime, Tick: NoTime}, user: "ana",
		day: scenarioDay}
	k.set(t, d)
	return k
}

// set reads the arguments of a command.
func (k *keyFeed) set(t *testing.T, d *datadriven.TestData) {
	k.show = map[string]bool{}
	r := &k.rules
	durations := map[string]*Millis{
		"timeout": &r.Timeout, "mobile": &r.MobileTimeout, "out_of_order": &r.OutOfOrder,
		"lateness": &r.Lateness, "retention": &r.Retention, "max_duration": &r.MaxDuration,
	}
	for _, arg := range d.CmdArgs {
		value := ""
		if len(arg.Vals) > 0 {
			value = arg.Vals[0]
		}
		if duration := durations[arg.Key]; duration != nil {
			*duration = scenarioMillis(t, value)
			continue
		}
		switch word := arg.Key + "=" + value; {
		case arg.Key == "user":
			k.user = value
		case arg.Key == "show":
			for _, name := range arg.Vals {
				k.show[name] = true
			}
		case arg.Key == "splits":
			r.SplitClientStart = slices.Contains(arg.Vals, "client_start")
			r.SplitUserChange = slices.Contains(arg.Vals, "user_change")
			r.SplitCampaign = slices.Contains(arg.Vals, "campaign")
		case arg.Key == "day":
			k.day = scenarioDate(t, value)
		case arg.Key == "midnight":
			k.midnight(t, value)
		case arg.Key == "max_events":
			r.MaxEvents = scenarioNumber(t, value)
		case arg.Key == "dedupe":
			r.DedupeLast = scenarioNumber(t, value)
			r.DedupeDrop = slices.Contains(arg.Vals, "drop")
		case word == "visits=started":
			r.Started = true
		case arg.Key == "retained":
			r.Retained = scenarioNumber(t, value)
		case arg.Key == "remembered":
			r.Remembered = scenarioNumber(t, value)
		case word == "mode=adopt":
			r.Mode = Adopt
		case word == "mode=assign":
			r.Mode = Assign
		case word == "mode=enforce":
			r.Mode = Enforce
		case word == "boundary=at":
			r.BoundaryAt = true
		case word == "on_missing=none":
			r.OnMissing = MissingNone
		case word == "on_invalid=strip":
			r.OnInvalid = InvalidStrip
		case word == "on_invalid=dead_letter":
			r.OnInvalid = InvalidDeadLetter
		case word == "too_late=dead_letter":
			r.TooLate = TooLateDeadLetter
		case word == "id_type=uuid":
			r.IDType = IDUUID
		case word == "id_type=string":
			r.IDType = IDString
		default:
			d.Fatalf(t, "unknown argument %s", arg)
		}
	}
	k.compile(t, d)
}

func (k *keyFeed) compile(t *testing.T, d *datadriven.TestData) {
	if err := k.rules.Compile(); err != nil {
		d.Fatalf(t, "compile: %v", err)
	}
}

func (k *keyFeed) midnight(t *testing.T, zone string) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatalf("midnight: %v", err)
	}
	k.rules.Midnight = location
}

// rule reads `rule NAME WORD...`: what the rule does to events that carry its name.
func (k *keyFeed) rule(t *testing.T, d *datadriven.TestData, words []string) {
	var effect Effect
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "timeout":
			effect.Timeout = scenarioMillis(t, value)
		case name == "max_duration":
			effect.MaxDuration = scenarioMillis(t, value)
		case word == "extend":
			effect.Class = ClassExtend
		case word == "attach":
			effect.Class = ClassAttach
		case word == "ignore":
			effect.Class = ClassIgnore
		case word == "start":
			effect.Start = true
		case word == "end":
			effect.End = true
		case word == "drop":
			effect.Drop = true
		default:
			d.Fatalf(t, "a rule knows no %s", word)
		}
	}
	k.names = append(k.names, words[1])
	k.rules.Effects = append(k.rules.Effects, effect)
	k.compile(t, d)
}

// line feeds one line: an event, or one of the words below.
func (k *keyFeed) line(t *testing.T, d *datadriven.TestData, line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "rule": // a rule, from here on
		k.rule(t, d, words)
	case "other": // an event of another key of the partition, at a time
		k.w.advance(k.time(t, words[1]), k.rules.OutOfOrder)
	case "idle": // the partition is idle; the wall clock lets the tick watermark reach a time
		k.w.Tick = max(k.w.Tick, k.time(t, words[1]))
		k.expire(t, line)
	case "expire": // the key's timer is looked at
		k.expire(t, line)
	case "drain": // time runs on until nothing is waiting
		for {
			k.decode(t)
			due := k.rules.Due(&k.state)
			if due == NoTime {
				break
			}
			k.w.Tick = max(k.w.Tick, due+1)
			k.expire(t, line)
			line = ""
		}
	default:
		e := k.event(t, d, words)
		k.step(t, &e)
		k.print(line, &e)
	}
}

func (k *keyFeed) decode(t *testing.T) {
	if err := k.state.Decode(k.row, k.history); err != nil {
		t.Fatalf("decode: %v", err)
	}
}

// encode writes the rows again and holds the flags that say whether it was necessary.
func (k *keyFeed) encode(t *testing.T) {
	row, history := k.state.AppendRow(nil), k.state.AppendHistory(nil)
	if !k.state.RowChanged && !bytes.Equal(row, k.row) {
		t.Fatalf("the row changed and RowChanged is false")
	}
	if !k.state.HistoryChanged && !bytes.Equal(history, k.history) {
		t.Fatalf("the history changed and HistoryChanged is false")
	}
	if err := k.state.Err(); err != nil {
		t.Fatalf("state: %v", err)
	}
	k.row, k.history = row, history
}

func (k *keyFeed) step(t *testing.T, e *Event) {
	k.decode(t)
	k.rules.Step(&k.state, e, &k.w, &k.out)
	k.encode(t)
}

func (k *keyFeed) expire(t *testing.T, line string) {
	k.decode(t)
	due := k.rules.Due(&k.state)
	k.rules.Expire(&k.state, k.w, &k.out)
	if isDue := due != NoTime && k.w.Tick > due; isDue != (len(k.out.Before) > 0) {
		t.Fatalf("%s: due at %d, tick watermark %d, %d visits ended", line, due, k.w.Tick,
			len(k.out.Before))
	}
	k.encode(t)
	if line != "" {
		k.printf(line, "")
	}
	k.printEnded(k.out.Before)
}

// event reads `TIME KIND [#id] [S] [word...]`.
func (k *keyFeed) event(t *testing.T, d *datadriven.TestData, words []string) Event {
	k.offset++
	e := Event{
		Time:        k.time(t, words[0]),
		Offset:      k.offset,
		AnonymousID: []byte(k.user),
		MessageID:   []byte("m" + strconv.FormatInt(k.offset, 10)),
	}
	switch words[1] {
	case "page":
		e.Kind = KindPage
	case "screen":
		e.Kind = KindScreen
	case "track":
		e.Kind = KindTrack
	case "identify":
	default:
		d.Fatalf(t, "unknown kind %s", words[1])
	}
	for _, word := range words[2:] {
		if at := slices.Index(k.names, word); at >= 0 {
			e.Rule = uint16(at + 1)
		} else if !k.word(t, word, &e) {
			d.Fatalf(t, "unknown word %s", word)
		}
	}
	return e
}

// word reads a word of an event.
func (k *keyFeed) word(t *testing.T, word string, e *Event) bool {
	name, value, _ := strings.Cut(word, "=")
	switch {
	case word == "S":
		e.Start = true
	case word == "mobile":
		e.Mobile = true
	case word == "clamped":
		e.Clamped = true
	case word == "debug":
		e.Debug = true
	case word == "foreground":
		e.Lifecycle = LifecycleForeground
	case word == "background":
		e.Lifecycle = LifecycleBackground
	case name == "user":
		e.UserID = []byte(value)
	case name == "message":
		e.MessageID = []byte(value)
	case name == "place":
		e.Place = []byte(value)
	case name == "campaign":
		detailsOf(e).campaign = []byte(value)
	case name == "referrer":
		detailsOf(e).referrer = []byte(value)
	case name == "context":
		detailsOf(e).context = []byte(value)
	case name == "bad":
		for i := range invalids {
			if i.String() == value {
				e.Invalid = i
			}
		}
	case strings.HasPrefix(word, "#"):
		e.Client = k.clientID(t, word[1:])
	default:
		return false
	}
	return true
}

// clientID reads a number, a text, or the clock time that a server id was made of.
func (k *keyFeed) clientID(t *testing.T, text string) ID {
	if k.rules.IDType != IDInt64 {
		return ID{Text: []byte(text)}
	}
	if strings.Contains(text, ":") {
		return ID{Int: int64(k.time(t, text))}
	}
	return ID{Int: int64(scenarioNumber(t, text))}
}

func (k *keyFeed) take() string {
	printed := k.printed.String()
	k.printed.Reset()
	return printed
}

// time reads a time of the scenario's day.
func (k *keyFeed) time(t *testing.T, text string) Time {
	t.Helper()
	return scenarioTime(t, text) + k.day - scenarioDay
}

func scenarioDate(t *testing.T, text string) Time {
	t.Helper()
	midnight, ok := ParseTime([]byte(text + "T00:00:00"))
	if !ok {
		t.Fatalf("%s is not a date", text)
	}
	return midnight
}

// scenarioTime reads `12:00:00`, with `.001` behind it and with `+2d` or `-1d` behind that.
func scenarioTime(t *testing.T, text string) Time {
	t.Helper()
	days := Time(0)
	if at := strings.IndexAny(text, "+-"); at >= 0 {
		n := scenarioNumber(t, strings.TrimSuffix(text[at:], "d"))
		days, text = Time(n)*Time(day), text[:at]
	}
	clock, ok := ParseTime([]byte("2026-03-02T" + text))
	if !ok {
		t.Fatalf("%s is not a time", text)
	}
	return clock + days
}

func scenarioNumber(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is not a number", text)
	}
	return n
}

var units = []struct {
	name   string
	length Millis
}{{"ms", 1}, {"d", day}, {"h", 3600_000}, {"m", 60_000}, {"s", 1000}}

func scenarioMillis(t *testing.T, text string) Millis {
	t.Helper()
	for _, unit := range units {
		if number, ok := strings.CutSuffix(text, unit.name); ok {
			return Millis(scenarioNumber(t, number)) * unit.length
		}
	}
	t.Fatalf("%s is not a duration", text)
	return 0
}
