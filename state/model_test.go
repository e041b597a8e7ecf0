package state

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

// Everything a task can do to a partition, in any order, with power losses, against maps.

// model is a partition in the dumbest form, with its changelog.
type model struct {
	confirmed, open rows
	taken           map[string]bool // by Due in the open transaction, and not put again
	position        Position
	flushed         int64          // seq that must outlive a crash
	commits         map[int64]rows // rows by seq
	positions       map[int64]Position
	changelog       []changelogRecord
}

type changelogRecord struct{ key, value []byte }

// world is the model and what is checked against it.
type world struct {
	t        *testing.T
	r        *rand.Rand
	options  Options
	fs       *vfs.MemFS
	s        *Store
	p        *Partition
	m        model
	universe []string
	happened map[string]int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, r: testRand(t, seed), fs: vfs.NewCrashableMem(), happened: map[string]int{},
		m: model{
			confirmed: rows{}, open: rows{}, taken: map[string]bool{},
			commits: map[int64]rows{}, positions: map[int64]Position{},
		},
	}
	w.options = testOptions(w.fs)
	w.options.Cache = 1 << (2 * w.r.IntN(14)) // from one byte to 64 MiB
	for i := range 150 {
		w.universe = append(w.universe, fmt.Sprint("key", i))
	}
	w.open()
	return w
}

func (w *world) open() {
	w.s = openStore(w.t, w.options)
	w.s.limits = limits{
		behindBytes: 1 << w.r.IntN(20), behindCommits: 1 + w.r.IntN(4),
		tailBytes: 1 << w.r.IntN(10), runBytes: 1 << (8 + w.r.IntN(16)),
		tableBytes: 1 << (8 + w.r.IntN(16)),
	}
	w.p = openPart(w.t, w.s)
}

func (w *world) key() string { return w.universe[w.r.IntN(len(w.universe))] }

func (w *world) put() {
	key, due := w.key(), session.Time(w.r.IntN(1000))
	if w.r.IntN(3) == 0 {
		due = session.NoTime
	}
	delete(w.m.taken, key)
	row := testRow(due, string(make([]byte, w.r.IntN(1<<w.r.IntN(12)))))
	if w.r.IntN(10) == 0 {
		w.p.Put([]byte(key), nil, due)
		delete(w.m.open, string(rune(kindRow))+key)
		return
	}
	w.p.Put([]byte(key), row, due)
	w.m.open[string(rune(kindRow))+key] = string(row)
}

func (w *world) putHistory() {
	key := w.key()
	history := fmt.Sprint("history ", w.r.Uint64())
	if w.r.IntN(4) == 0 {
		w.p.PutHistory([]byte(key), nil)
		delete(w.m.open, string(rune(kindHistory))+key)
		return
	}
	w.p.PutHistory([]byte(key), []byte(history))
	w.m.open[string(rune(kindHistory))+key] = history
}

func (w *world) get() {
	wantRows(w.t, w.p, []string{w.key(), w.key(), w.key()}, w.m.open)
}

// due asks for timers and puts some of the keys again, as a task does.
func (w *world) due() {
	tick, limit := session.Time(w.r.IntN(1000)), 1+w.r.IntN(20)
	want := w.dueKeys(tick)
	got := w.p.Due(tick, limit, nil)
	if len(got) != min(limit, len(want)) {
		w.t.Fatalf("%d keys are due before %d, want %d of %d", len(got), tick, limit, len(want))
	}
	for _, k := range got {
		key := string(k)
		if !slices.Contains(want, key) || w.m.taken[key] {
			w.t.Fatalf("%s is not due before %d", key, tick)
		}
		w.m.taken[key] = true
	}
	for _, k := range got {
		if w.r.IntN(3) > 0 {
			row := testRow(session.NoTime, "ended")
			w.p.Put(k, row, session.NoTime)
			w.m.open[string(rune(kindRow))+string(k)] = string(row)
		}
	}
	w.happened["due"] += len(got)
}

func (w *world) dueKeys(tick session.Time) (keys []string) {
	for key, row := range w.m.open {
		if key[0] != kindRow || w.m.taken[key[1:]] {
			continue
		}
		due, err := testDue([]byte(row))
		if err == nil && due != session.NoTime && due < tick {
			keys = append(keys, key[1:])
		}
	}
	return keys
}

func (w *world) commit() {
	pos := w.m.position
	pos.Seq++
	pos.Offset += int64(w.r.IntN(5))
	pos.WrittenAt += session.Time(w.r.IntN(flushAfterMs))
	pos.Digest = w.p.Digest()
	changed := rows{}
	for key, value := range w.p.Changes {
		record := changelogRecord{key: slices.Clone(key)}
		if value != nil {
			record.value = slices.Clone(value)
			changed[string(key)] = string(value)
		}
		if want, there := w.m.open[string(key)]; string(value) != want || there != (value != nil) {
			w.t.Fatalf("changed row %q is %q, want %q", key, value, want)
		}
		w.m.changelog = append(w.m.changelog, record)
	}
	for key, value := range w.m.open {
		if changed[key] != value && w.m.confirmed[key] != value {
			w.t.Fatalf("row %q has changed and is not among the changes", key)
		}
	}
	w.m.changelog = append(w.m.changelog,
		changelogRecord{key: MetaKey, value: AppendMeta(nil, pos)})
	pos.ChangelogEnd = int64(len(w.m.changelog))
	if err := w.p.Commit(pos); err != nil {
		w.t.Fatal(err)
	}
	w.m.position = pos
	w.m.confirmed = maps.Clone(w.m.open)
	w.m.commits[pos.Seq], w.m.positions[pos.Seq] = w.m.confirmed, pos
	clear(w.m.taken)
}

func (w *world) abort() {
	w.p.Abort()
	w.forgetOpen()
}

func (w *world) forgetOpen() {
	w.m.open = maps.Clone(w.m.confirmed)
	clear(w.m.taken)
}

func (w *world) flush() {
	if err := w.p.Flush(); err != nil {
		w.t.Fatal(err)
	}
	w.m.flushed = w.m.position.Seq
}

// reopen closes the partition, or the store too, with an open transaction.
func (w *world) reopen() {
	if w.r.IntN(2) == 0 {
		if err := w.p.Close(); err != nil {
			w.t.Fatal(err)
		}
		w.p = openPart(w.t, w.s)
	} else {
		closeStore(w.t, w.s)
		w.m.flushed = w.m.position.Seq
		w.open()
	}
	if pos, _ := w.p.Position(); pos != w.m.position {
		w.t.Fatalf("position is %+v, want %+v", pos, w.m.position)
	}
	w.forgetOpen()
}

// crash is a power loss; what was not synced may be there or not, in any mixture.
func (w *world) crash() {
	percent := []int{0, 0, 50, 100}[w.r.IntN(4)]
	crashed := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.r})
	closeStore(w.t, w.s)
	w.fs, w.options.FS = crashed, crashed
	w.open()
	pos, ok := w.p.Position()
	if pos.Seq < w.m.flushed || pos != w.m.positions[pos.Seq] || ok != (pos.Seq > 0) {
		w.t.Fatalf("position is %+v after a crash, seq %d was flushed", pos, w.m.flushed)
	}
	if pos.Seq < w.m.position.Seq {
		w.happened["behind"]++
	}
	wantRows(w.t, w.p, w.universe, w.m.commits[pos.Seq])
	w.restore()
}

// restore follows the changelog from the position to its end.
func (w *world) restore() {
	w.abort()
	if len(w.m.changelog) == 0 {
		return
	}
	if w.r.IntN(3) == 0 {
		if err := errors.Join(w.p.Close(), w.s.Drop("events", 3)); err != nil {
			w.t.Fatal(err)
		}
		w.p = openPart(w.t, w.s)
		w.m.flushed = 0
	}
	for done := false; !done; {
		pos, confirmed := w.p.Position()
		r, err := w.p.Restore()
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Full() == confirmed {
			w.t.Fatalf("full: %v, with a position: %v", r.Full(), confirmed)
		}
		records := w.m.changelog[pos.ChangelogEnd:]
		done = w.r.IntN(4) > 0
		if !done {
			records = records[:w.r.IntN(len(records)+1)]
		}
		for _, c := range records {
			if err := r.Apply(c.key, c.value); err != nil {
				w.t.Fatal(err)
			}
		}
		if done {
			err = r.Finish(w.m.position)
		} else {
			err = r.Abort()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if r.spilled && !done {
			w.reopenBroken()
		}
		if r.Full() && done {
			w.m.flushed = w.m.position.Seq
		}
		w.happened[fmt.Sprintf("restore full=%v done=%v", r.Full(), done)]++
	}
	if pos, _ := w.p.Position(); pos != w.m.position {
		w.t.Fatalf("position is %+v, want %+v", pos, w.m.position)
	}
}

// reopenBroken is the way out of a restore that was given up with rows in Pebble already.
func (w *world) reopenBroken() {
	w.happened["spilled and given up"]++
	if err := w.p.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.p = openPart(w.t, w.s)
	if pos, ok := w.p.Position(); ok {
		w.t.Fatalf("position is %+v after half a restore", pos)
	}
	w.m.flushed = 0
}

// sweep walks through all keys in steps of any size, as Pebble holds them once it has caught up,
// and deletes some in the open transaction, whatever that has made of them.
func (w *world) sweep() {
	if err := w.s.awaitApplied(w.p); err != nil {
		w.t.Fatal(err)
	}
	seen, cursor := rows{}, ""
	for {
		var found []string
		next, err := w.p.Walk(cursor, w.r.IntN(20), w.r.IntN(1<<w.r.IntN(12)),
			func(key, row, history []byte) error {
				found = append(found, string(key))
				for kind, value := range map[byte][]byte{kindRow: row, kindHistory: history} {
					if value != nil {
						seen[string(rune(kind))+string(key)] = string(value)
					}
				}
				return nil
			})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, key := range found {
			if w.r.IntN(4) == 0 {
				w.p.PutHistory([]byte(key), nil)
				w.p.Put([]byte(key), nil, session.NoTime)
				delete(w.m.open, string(rune(kindRow))+key)
				delete(w.m.open, string(rune(kindHistory))+key)
				delete(w.m.taken, key)
				w.happened["swept"]++
			}
		}
		if cursor = next; cursor == "" {
			break
		}
		w.happened["walk goes on"]++
	}
	if !maps.Equal(seen, w.m.confirmed) {
		w.t.Fatalf("a walk has seen %d rows, want %d", len(seen), len(w.m.confirmed))
	}
}

func TestRandomOperations(t *testing.T) {
	happened := map[string]int{}
	for seed := range uint64(50) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.happened = happened
			steps := []func(){
				w.put, w.put, w.put, w.put, w.put, w.put, w.put, w.put, w.put, w.put, w.put,
				w.putHistory, w.putHistory, w.get, w.get, w.get, w.get, w.due, w.due,
				w.commit, w.commit, w.commit, w.commit, w.abort, w.flush, w.reopen, w.crash,
				w.restore, w.sweep,
			}
			for range 300 {
				steps[w.r.IntN(len(steps))]()
				if w.r.IntN(50) == 0 {
					wantRows(t, w.p, w.universe, w.m.open)
				}
			}
			wantRows(t, w.p, w.universe, w.m.open)
			closeStore(t, w.s)
		})
	}
	for _, what := range []string{
		"due", "behind", "restore full=true done=true", "restore full=true done=false",
		"restore full=false done=true", "restore full=false done=false", "spilled and given up",
		"swept", "walk goes on",
	} {
		if happened[what] == 0 {
			t.Errorf("never happened: %s", what)
		}
	}
	t.Log(happened)
}
