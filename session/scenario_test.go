package session

// Scenarios are the rules as strangers read them: events in, what became of each out. Every step
// goes through the bytes of the row and the history, so that each scenario also proves that nothing
// the machine needs is missing in them.

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
	row, history []byte
	state        State
	w            Watermarks
	out          Outcome
	offset       int64
	printed      strings.Builder
}

func newKeyFeed(t *testing.T, d *datadriven.TestData) *keyFeed {
	k := &keyFeed{rules: DefaultRules(), w: Watermarks{Event: NoTime, Tick: NoTime}, user: "ana"}
	k.set(t, d)
	return k
}

// set reads the arguments of a command.
func (k *keyFeed) set(t *testing.T, d *datadriven.TestData) {
	k.show = map[string]bool{}
	r := &k.rules
	durations := map[string]*Millis{
		"timeout": &r.Timeout, "mobile": &r.MobileTimeout, "out_of_order": &r.OutOfOrder,
		"lateness": &r.Lateness, "retention": &r.Retention,
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
			r.SplitClientStart, r.SplitUserChange = false, false
			for _, name := range arg.Vals {
				r.SplitClientStart = r.SplitClientStart || name == "client_start"
				r.SplitUserChange = r.SplitUserChange || name == "user_change"
			}
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
	if err := r.Compile(); err != nil {
		d.Fatalf(t, "compile: %v", err)
	}
}

// line feeds one line: an event, or one of the words below.
func (k *keyFeed) line(t *testing.T, d *datadriven.TestData, line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "other": // an event of another key of the partition, at a time
		k.w.advance(scenarioTime(t, words[1]), k.rules.OutOfOrder)
	case "idle": // the partition is idle; the wall clock lets the tick watermark reach a time
		k.w.Tick = max(k.w.Tick, scenarioTime(t, words[1]))
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
	t.Helper()
	if err := k.state.Decode(k.row, k.history); err != nil {
		t.Fatalf("decode: %v", err)
	}
}

// encode writes the rows again and holds the flags that say whether it was necessary.
func (k *keyFeed) encode(t *testing.T) {
	t.Helper()
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
	t.Helper()
	k.decode(t)
	k.rules.Step(&k.state, e, &k.w, &k.out)
	k.encode(t)
}

func (k *keyFeed) expire(t *testing.T, line string) {
	t.Helper()
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
		Time:        scenarioTime(t, words[0]),
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
		case name == "user":
			e.UserID = []byte(value)
		case name == "bad":
			for i := range invalids {
				if i.String() == value {
					e.Invalid = i
				}
			}
		case strings.HasPrefix(word, "#"):
			e.Client = k.clientID(t, word[1:])
		default:
			d.Fatalf(t, "unknown word %s", word)
		}
	}
	return e
}

// clientID reads a number, a text, or the clock time that a server id was made of.
func (k *keyFeed) clientID(t *testing.T, text string) ID {
	if k.rules.IDType != IDInt64 {
		return ID{Text: []byte(text)}
	}
	if strings.Contains(text, ":") {
		return ID{Int: int64(scenarioTime(t, text))}
	}
	return ID{Int: int64(scenarioNumber(t, text))}
}

func (k *keyFeed) take() string {
	printed := k.printed.String()
	k.printed.Reset()
	return printed
}

const scenarioColumn = 34

func (k *keyFeed) printf(left, format string, args ...any) {
	right := fmt.Sprintf(format, args...)
	line := fmt.Sprintf("%-*s %s", scenarioColumn, left, right)
	k.printed.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (k *keyFeed) print(line string, e *Event) {
	k.printEnded(k.out.Before)
	switch stamp := &k.out.Stamp; {
	case k.out.Dead != DeadNone:
		k.printf(line, "dead letter: %s", k.out.Dead)
	case stamp.Status != InSession:
		k.printf(line, "%s", strings.ReplaceAll(stamp.Status.String(), "_", " "))
	default:
		k.printf(line, "%s", k.stampText(stamp))
	}
	k.printEnded(k.out.After)
	if k.show["notes"] {
		for n := Notes(1); n < NotesEnd; n <<= 1 {
			if k.out.Notes&n != 0 {
				k.printf("", "counted: %s", n)
			}
		}
	}
}

func (k *keyFeed) stampText(stamp *Stamp) string {
	text := fmt.Sprintf("#%d", stamp.Index)
	if stamp.Start {
		text += " start"
		if k.show["reason"] {
			text += " reason=" + stamp.Reason.String()
		}
	}
	if stamp.Late {
		text += " late"
	}
	if stamp.Clamped {
		text += " clamped"
	}
	if k.show["id"] {
		text += " id=" + k.idText(stamp.ID)
		if stamp.Server {
			text += " (server)"
		}
	}
	if k.show["uuid"] {
		text += " uuid=" + string(AppendUUID(nil, stamp.UUID))
	}
	if k.show["event_index"] {
		text += fmt.Sprintf(" event=%d", stamp.EventIndex)
	}
	if k.show["previous"] {
		text += " previous=" + k.idText(stamp.Previous)
	}
	if k.show["gap"] {
		text += " gap=" + millisText(stamp.GapMs)
	}
	if k.show["timeout"] {
		text += " timeout=" + millisText(stamp.TimeoutMs)
	}
	if k.show["started"] {
		text += " started=" + timeText(stamp.StartedAt)
	}
	return text
}

func (k *keyFeed) printEnded(ended []Ended) {
	for i := range ended {
		k.printf("", "%s", k.endedText(&ended[i]))
	}
}

func (k *keyFeed) endedText(e *Ended) string {
	x := &e.Session
	text := fmt.Sprintf("ended #%d %s..%s events=%d %s", x.Index, timeText(x.First), timeText(x.Last),
		x.Events, e.Reason)
	if !e.MergedInto.IsZero() {
		text += " into " + k.idText(e.MergedInto)
	}
	if e.Revision > 1 {
		text += fmt.Sprintf(" revision=%d", e.Revision)
	}
	if k.show["id"] {
		text += " id=" + k.idText(x.ID)
	}
	if k.show["counts"] {
		text += fmt.Sprintf(" pages=%d screens=%d tracks=%d late=%d", x.Pages, x.Screens, x.Tracks,
			x.Late)
	}
	if k.show["active"] {
		text += fmt.Sprintf(" duration=%s active=%s", millisText(e.DurationMs()),
			millisText(x.ActiveMs))
	}
	if k.show["amendable"] {
		until := "never"
		if e.AmendableUntil != NoTime {
			until = timeText(e.AmendableUntil)
		}
		text += " amendable=" + until
	}
	if k.show["events"] {
		text += fmt.Sprintf(" events %s@%d..%s@%d", x.FirstEvent, x.FirstOffset, x.LastEvent,
			x.LastOffset)
	}
	if k.show["users"] {
		text += fmt.Sprintf(" users %s..%s", cmp.Or(string(x.FirstUser.Bytes), "-"),
			cmp.Or(string(x.LastUser.Bytes), "-"))
	}
	if k.show["timeout"] {
		text += " timeout=" + millisText(x.Timeout)
	}
	return text
}

// idText prints small numbers as they are and ids made of a time as that time.
func (k *keyFeed) idText(id ID) string {
	switch {
	case id.IsZero():
		return "none"
	case len(id.Text) > 0:
		return string(id.Text)
	case id.Int >= int64(scenarioDay-100*Time(day)) && id.Int < int64(scenarioDay+100*Time(day)):
		return timeText(Time(id.Int))
	default:
		return strconv.FormatInt(id.Int, 10)
	}
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

func timeText(at Time) string {
	days := (at - scenarioDay) / Time(day)
	rest := (at - scenarioDay) % Time(day)
	if rest < 0 {
		days, rest = days-1, rest+Time(day)
	}
	text := fmt.Sprintf("%02d:%02d:%02d", rest/3600_000, rest/60_000%60, rest/1000%60)
	if rest%1000 != 0 {
		text += fmt.Sprintf(".%03d", rest%1000)
	}
	if days != 0 {
		text += fmt.Sprintf("%+dd", days)
	}
	return text
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

func millisText(m Millis) string {
	for _, unit := range units[1:] {
		if m != 0 && m%unit.length == 0 {
			return fmt.Sprintf("%d%s", m/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%dms", m)
}
