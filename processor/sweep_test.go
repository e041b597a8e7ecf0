package processor

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// Keys go when nothing is left to be remembered of them, from the store and from the changelog,
// and no event can tell: two tasks get the same input and mishaps, and only one of them sweeps.

// sweeper is one of the two, with its store and its changelog as compaction leaves it.
type sweeper struct {
	t         *testing.T
	rules     *session.Rules
	fs        *vfs.MemFS
	store     *state.Store
	part      *state.Partition
	task      *Task
	rowsMax   int
	cache     int64             // of the store: nothing stays in memory, or everything
	changelog map[string][]byte // nil: a tombstone
	produced  []string          // in the open transaction
	position  state.Position
}

func sweepRules(t *testing.T, mode session.Mode) *session.Rules {
	t.Helper()
	rules := session.DefaultRules()
	rules.Mode, rules.OnInvalid = mode, session.InvalidReplace
	rules.Lateness, rules.Retention = 90*60_000, 4*3600_000
	rules.TooLate = session.TooLateDeadLetter
	if err := rules.Compile(); err != nil {
		t.Fatal(err)
	}
	return &rules
}

func newSweeper(t *testing.T, rules *session.Rules, rowsMax int, cache int64) *sweeper {
	s := &sweeper{
		t: t, rules: rules, fs: vfs.NewCrashableMem(), rowsMax: rowsMax, cache: cache,
		changelog: map[string][]byte{},
	}
	s.open()
	return s
}

func (s *sweeper) open() {
	var err error
	s.store, err = state.Open("state", state.Options{FS: s.fs, Cache: s.cache, Due: DueOf(s.rules)})
	if err == nil {
		s.part, err = s.store.Partition("events", 0)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// begin makes the task once the partition is as it is to be.
func (s *sweeper) begin() {
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		s.t.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"full"}, FutureTolerance: 60_000,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	topics := Topics{Output: "out", Visits: "visits", DeadLetters: "dead", Changelog: "changelog"}
	s.task = NewTask(s.rules, codec, s.part, "events", 0, topics, Policy{})
	s.task.sweepRowsMax = s.rowsMax
}

// step processes the events of a transaction, and what is due after them.
func (s *sweeper) step(events []*kgo.Record) {
	s.produced = s.produced[:0]
	for _, e := range events {
		if err := s.task.Step(e); err != nil {
			s.t.Fatal(err)
		}
	}
	s.take()
	if _, err := s.task.Tick(s.task.Watermark()); err != nil {
		s.t.Fatal(err)
	}
	from := len(s.produced)
	s.take()
	slices.Sort(s.produced[from:]) // timers of one time come in any order
}

func (s *sweeper) take() {
	for _, r := range s.task.Ready() {
		s.produced = append(s.produced, fmt.Sprintf("%s %s %s", r.Topic, r.Key, r.Value))
	}
}

func (s *sweeper) sweep(now time.Time) {
	if err := s.task.Sweep(now); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sweeper) commit() {
	if _, err := s.task.Close(1, [16]byte{1}, time.UnixMilli(0)); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range s.task.Ready() {
		s.changelog[string(r.Key)] = bytes.Clone(r.Value)
	}
	if err := s.task.Commit(1, [16]byte{2}); err != nil {
		s.t.Fatal(err)
	}
	s.position = s.task.Pending()
}

// lose takes the task from its process: a rebalance, or a crash that leaves what was synced. What
// is behind then is restored from the changelog, and after all of a disk was lost everything is.
func (s *sweeper) lose(r *rand.Rand, tombstones bool) {
	s.task.Abort()
	switch r.IntN(3) {
	case 0:
		if err := s.part.Close(); err != nil {
			s.t.Fatal(err)
		}
		part, err := s.store.Partition("events", 0)
		if err != nil {
			s.t.Fatal(err)
		}
		s.part = part
	case 1:
		crashed := s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
		s.close()
		s.fs = crashed
		s.open()
	default:
		s.close()
		s.fs = vfs.NewCrashableMem()
		s.open()
	}
	s.restore(tombstones)
	s.begin()
}

func (s *sweeper) close() {
	if err := s.store.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sweeper) restore(tombstones bool) {
	if s.position.Seq == 0 {
		return
	}
	restore, err := s.part.Restore()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(s.changelog)) {
		value := s.changelog[key]
		if value == nil && !tombstones && restore.Full() {
			continue // compaction has taken it away
		}
		if err := restore.Apply([]byte(key), value); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := restore.Finish(s.position); err != nil { // which compares the digests
		s.t.Fatal(err)
	}
}

// rows are all of the partition's, by key.
func (s *sweeper) rows() map[string][2]string {
	s.t.Helper()
	if err := s.part.Flush(); err != nil {
		s.t.Fatal(err)
	}
	all := map[string][2]string{}
	next, err := s.part.Walk("", 1<<30, 1<<30, func(key, row, history []byte) error {
		all[string(key)] = [2]string{string(row), string(history)}
		return nil
	})
	if err != nil || next != "" {
		s.t.Fatalf("%v, and it goes on at %q", err, next)
	}
	return all
}

// sweepEvent is an event of one of a few customers: mostly on time, some late, some with a client
// id that comes back after hours.
func sweepEvent(r *rand.Rand, offset int64, second int) *kgo.Record {
	who := fmt.Sprintf("c%d", r.IntN(12))
	if r.IntN(4) == 0 {
		who = fmt.Sprintf("once-%d", r.IntN(1000))
	}
	if r.IntN(8) == 0 {
		second = max(0, second-r.IntN(8*3600))
	}
	at := time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC)
	client := ""
	if r.IntN(2) == 0 {
		client = fmt.Sprintf(`,"context":{"session":{"id":%d}}`, 946684800000+r.IntN(5))
	}
	return &kgo.Record{
		Topic: "events", Offset: offset, Key: []byte(who), Timestamp: at,
		Value: fmt.Appendf(nil, `{"anonymousId":%q,"type":"page","messageId":"m-%d","timestamp":%q%s}`,
			who, offset, at.Format(time.RFC3339), client),
	}
}

func TestSweep_NoEventCanTell(t *testing.T) {
	var forgotten, came, lost int64
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 11))
			rules := sweepRules(t, []session.Mode{session.Adopt, session.Assign}[seed%2])
			cache := []int64{1, 1, 8 << 20}[seed%3]
			with, without := newSweeper(t, rules, 1+r.IntN(20), cache), newSweeper(t, rules, 1, 1)
			with.begin()
			without.begin()
			gone := map[string]bool{}
			now, second, offset := time.UnixMilli(0), 0, int64(0)
			for range 150 {
				events := make([]*kgo.Record, 1+r.IntN(8))
				for i := range events {
					if second += r.IntN(600); r.IntN(20) == 0 {
						second += r.IntN(6 * 3600)
					}
					events[i] = sweepEvent(r, offset+int64(i), second)
				}
				for mishap := true; mishap; {
					if now = now.Add(time.Duration(r.IntN(40)) * time.Minute); r.IntN(2) == 0 {
						with.sweep(now) // before the events: some of its keys come back at once
					}
					with.step(events)
					without.step(events)
					if !slices.Equal(with.produced, without.produced) {
						t.Fatalf("offset %d: with a sweep\n%.2000q\nwithout\n%.2000q",
							offset, with.produced, without.produced)
					}
					with.sweep(now)
					switch r.IntN(12) {
					case 0:
						with.task.Abort()
						without.task.Abort()
					case 1:
						forgotten += with.task.Stats.Forgotten
						with.lose(r, r.IntN(2) == 0)
						without.task.Abort()
						lost++
					default:
						mishap = false
					}
				}
				with.commit()
				without.commit()
				offset += int64(len(events))
				came += with.back(gone)
			}
			forgotten += with.task.Stats.Forgotten
			with.compare(without, now)
			with.close()
			without.close()
		})
	}
	if forgotten == 0 || came == 0 || lost == 0 {
		t.Errorf("%d keys were forgotten, %d came back, %d times the task was lost", forgotten, came, lost)
	}
	t.Log(forgotten, came, lost)
}

// back counts the keys that had gone and are there again.
func (s *sweeper) back(gone map[string]bool) (n int64) {
	for key, value := range s.changelog {
		if value != nil && gone[key] {
			n++
		}
		gone[key] = value == nil
	}
	return n
}

// compare sweeps to the end and compares the rows: those that are gone by the rules are not there
// and have tombstones, all others are the same with and without the sweep.
func (s *sweeper) compare(without *sweeper, now time.Time) {
	t := s.t
	for range 1000 {
		now = now.Add(sweepEvery)
		if s.sweep(now); s.task.Touched() {
			s.commit()
		}
	}
	have, all := s.rows(), without.rows()
	var st session.State
	for key, rows := range all {
		if err := st.Decode([]byte(rows[0]), []byte(rows[1])); err != nil {
			t.Fatal(err)
		}
		kept, there := have[key]
		if s.rules.IsGone(&st, s.task.Watermark()) == there || there && kept != rows {
			t.Errorf("key %q: there after the sweep: %v, gone by the rules: %v", key, there, !there)
		}
		delete(have, key)
	}
	if len(have) > 0 {
		t.Errorf("%d keys are there only with the sweep", len(have))
	}
	for key, value := range s.changelog {
		if key == string(state.MetaKey) {
			continue
		}
		if _, there := s.rows()[key[1:]]; there == (value == nil) && key[0] == 1 {
			t.Errorf("key %q: in the store: %v, a tombstone: %v", key, there, value == nil)
		}
	}
	before := s.rows()
	s.close()
	s.fs = vfs.NewCrashableMem()
	s.open()
	s.restore(false)
	if !maps.Equal(before, s.rows()) {
		t.Error("a full restore brings other rows")
	}
}
