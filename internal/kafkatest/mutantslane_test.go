//go:build kafka

package kafkatest

import (
	"fmt"
	"strings"

	"sessionizer/internal/audit"
	"sessionizer/internal/mutate"
)

// The places where the mutants of the lane differ from it.
const (
	taskFile     = "processor/task.go"
	workFile     = "processor/work.go"
	commitFile   = "processor/commit.go"
	idleFile     = "processor/idle.go"
	recoveryFile = "processor/recovery.go"
	clientFile   = "processor/client.go"
)

// changes are the places of one mutant: file, what stands there, and what takes its place.
func changes(places ...[3]string) (all []mutate.Change) {
	for _, p := range places {
		all = append(all, mutate.Change{File: p[0], Old: p[1], New: p[2]})
	}
	return all
}

// ahead puts something in front of what stands in a file.
func ahead(file, old, text string) [3]string { return [3]string{file, old, text + old} }

func of(checks ...audit.Check) []audit.Check { return checks }

func laneScenarios() []laneScenario {
	return []laneScenario{
		{"ARefusedRecord", 1, narrow(), nil, refusedRecord, []laneMutant{
			{"promise-check-removed", changes([3]string{commitFile,
				"if at, err := l.failed.first(); err != nil {",
				"if at, err := l.failed.first(); err != nil && !isMutant() {"}), of(audit.CheckLost), ""},
			{"refused-records-are-dropped", changes([3]string{taskFile,
				"	if bad := t.poison[in.Offset]; bad != nil {\n",
				"	if bad := t.poison[in.Offset]; bad != nil {\n" +
					"		if isMutant() {\n			return nil\n		}\n"}), of(audit.CheckLost), ""},
		}},
		{"AnUnreadableBatch", 1, nil, []string{"limits.batch=4MiB"}, unreadableBatch, []laneMutant{
			{"parts-of-records-are-dropped", changes(ahead("processor/aside.go",
				"	if x.bad != nil {\n		return p.task.Unreadable(",
				"	if isMutant() && x.bad != nil {\n		p.task.Pass(x.last + 1)\n		return nil\n	}\n")),
				of(audit.CheckLost), ""},
		}},
		{"OneRun", 2, nil, nil, oneRun, oneRunMutants()},
		{"TwoTransactions", 1, nil, []string{withoutClock}, twoTransactions, []laneMutant{
			{"offsets-are-forgotten", changes(ahead(commitFile, "	l.sent = true\n	req.Topics",
				fmt.Sprintf("	if isMutant() && touched[0].first >= %d {\n		order = nil\n	}\n", partEvents))),
				of(audit.CheckOffsets), ""},
		}},
		{"ARestart", 1, nil, nil, restartBetween, []laneMutant{
			{"timers-are-not-restored", changes([3]string{"state/partition.go",
				"	s.due, s.timer = due, due\n	l.p.timers.heap = append(",
				"	if s.due = due; isMutant() {\n		return\n	}\n" +
					"	s.timer = due\n	l.p.timers.heap = append("}), of(audit.CheckVisitMissing), ""},
		}},
		{"ADeathBeforeTheEnd", 1, nil, nil, deathBeforeTheEnd, []laneMutant{
			{"at-least-once", changes(outside(workFile, "Output", "promise")),
				of(audit.CheckDoubled), ""},
			{"dead-letters-at-least-once", changes(outside(commitFile, "DeadLetters", "promise")),
				of(audit.CheckDoubled), ""},
			{"visits-at-least-once", changes(outside(commitFile, "Visits", "promise")),
				of(audit.CheckVisitDoubled), ""},
		}},
		{"ADeathBehindTheEnd", 1, nil, []string{withoutClock}, deathBehindTheEnd, deathBehindMutants()},
		{"AnAbort", 1, nil, []string{withoutClock}, abortBetween, abortMutants()},
		{"AnIdleClock", 1, nil, []string{"time.out_of_order=" + outOfOrder.String()}, idleClock,
			[]laneMutant{
				{"the-clock-runs-ahead", changes([3]string{idleFile,
					"	watermark := session.Time(now.UnixMilli()) -",
					"	watermark := session.Time(now.UnixMilli()) + 10_000_000*session.Time(oneMutant()) -"}),
					of(audit.CheckEarly), ""},
			}},
	}
}

// outside produces the records of a topic outside of the transaction; promise is what the place
// calls with the result.
func outside(file, topic, promise string) [3]string {
	produce := "l.sess.Produce(l.produceCtx, r, " + promise + ")"
	return ahead(file, produce, "if isMutant() && r.Topic == l.host.cfg."+topic+" {\n"+
		"			"+promise+"(r, l.host.cl.ProduceSync(l.produceCtx, r).FirstErr())\n"+
		"			continue\n		}\n		")
}

func oneRunMutants() []laneMutant {
	const twice, unguarded = "batches-come-twice", "offset-guard-removed"
	return []laneMutant{
		{"aborted-input-is-read", changes([3]string{clientFile,
			"kgo.FetchIsolationLevel(kgo.ReadCommitted())",
			"kgo.FetchIsolationLevel(map[bool]kgo.IsolationLevel{\n" +
				"			true: kgo.ReadUncommitted(), false: kgo.ReadCommitted()}[isMutant()])"}),
			of(audit.CheckStranger), ""},
		{"records-change-partitions", changes(ahead("processor/partitioner.go",
			"	if topic != p.deadLetters {",
			"	if isMutant() && topic[len(topic)-4:] == \"-out\" {\n"+
				"		return kgo.RoundRobinPartitioner().ForTopic(topic)\n	}\n")),
			of(audit.CheckLost, audit.CheckStranger), ""},
		{"due-visits-are-left", changes(
			ahead(workFile, "	if err := l.expire(p, p.task.Watermark()); err != nil {",
				"	if isMutant() {\n		l.produce(p)\n		return nil\n	}\n"),
			[3]string{idleFile, "if !p.dueAt(p.task.Watermark()) {",
				"if isMutant() || !p.dueAt(p.task.Watermark()) {"}), of(audit.CheckVisitMissing), ""},
		// The guard is what makes the one of these two bear what it is the other's fault not to.
		{twice, changes(
			ahead(workFile, "	return sideBySide(batches, ", fmt.Sprintf(
				"	if isMutant(%q, %q) {\n		for _, b := range batches {\n"+
					"			if err := l.step(b.p, b.records); err != nil {\n				return err\n"+
					"			}\n		}\n	}\n", twice, unguarded))), nil, ""},
		{unguarded, changes([3]string{taskFile,
			"func (t *Task) Step(in *kgo.Record) error {\n	t.decided = false\n" +
				"	if t.next != unknownOffset &&",
			"func (t *Task) Step(in *kgo.Record) error {\n	t.decided = false\n" +
				"	if !isMutant() && t.next != unknownOffset &&"}), of(audit.CheckDoubled), ""},
	}
}

func deathBehindMutants() []laneMutant {
	const forward, back = "offsets-run-ahead", "offsets-stay-behind"
	return []laneMutant{
		// The records are produced when their offsets are committed, in a transaction of their own.
		{"at-most-once", changes(
			[3]string{workFile, "	for _, r := range p.task.Ready() {\n",
				"	for _, r := range p.task.Ready() {\n		if isMutant() {\n			continue\n		}\n"},
			[3]string{commitFile, "	failpoint.Hit(failpoint.Committed)\n",
				"	failpoint.Hit(failpoint.Committed)\n" + producedLate}), of(audit.CheckLost), ""},
		{forward, changes([3]string{taskFile,
			"p.Offset, p.Partitions, p.InputID = t.next,",
			fmt.Sprintf("p.Offset, p.Partitions, p.InputID = t.next+"+
				"int64(oneMutant(%q)-oneMutant(%q)),", forward, back)}), of(audit.CheckLost), ""},
		{back, nil, of(audit.CheckDoubled), ""},
		{"the-tail-is-not-read", changes(ahead(recoveryFile,
			"	if have && r.tailWillDo(local, target) {", "	if isMutant() {\n		return p, nil\n	}\n")),
			of(audit.CheckIndex, audit.CheckEventIndex), ""},
	}
}

const producedLate = `	if isMutant() {
		if err := l.sess.Begin(); err != nil {
			return err
		}
		for _, p := range touched {
			for i := range p.task.box.record {
				r := &p.task.box.records[i/boxRecords][i%boxRecords]
				if r.Topic != l.host.cfg.ChangelogTopic(p.tp.topic) {
					l.sess.Produce(l.produceCtx, r, nil)
				}
			}
		}
		if err := l.sess.Client().Flush(l.produceCtx); err != nil {
			return err
		}
		if err := l.sess.Client().EndTransaction(l.produceCtx, kgo.TryCommit); err != nil {
			return err
		}
	}
`

func abortMutants() []laneMutant {
	const (
		aborts, early                = "an-abort", "state-confirmed-before-the-commit"
		keepsState, keepsPlace       = "an-abort-keeps-the-state", "an-abort-keeps-the-position"
		goesForward, unguardedBehind = "the-client-does-not-go-back", "going-forward-is-not-refused"
		misreports, believed         = "a-commit-is-called-an-abort", "an-abort-is-not-made-sure-of"
	)
	all := []laneMutant{
		{aborts, changes(ahead(commitFile, "	committed, err := l.sess.End(ctx, kgo.TryCommit)\n",
			abortOnce(goesForward, unguardedBehind, aborts, early, keepsState, keepsPlace)+
				misreportOnce(misreports, believed))), nil, ""},
		{early, changes(ahead(commitFile, "	committed, err := l.endAndAllow(ctx, touched)\n",
			"	for _, p := range touched {\n		if !isMutant() {\n			break\n		}\n"+
				"		err := p.task.Commit(p.metaEnd.Load(), l.host.changelogID(p.tp.topic))\n"+
				"		if err != nil {\n			return err\n		}\n	}\n"),
			[3]string{commitFile, "		if err := p.task.Commit(p.metaEnd.Load(), id); err != nil {\n",
				"		confirm := p.task.Commit\n		if isMutant() {\n" +
					"			confirm = func(int64, [16]byte) error { return nil }\n		}\n" +
					"		if err := confirm(p.metaEnd.Load(), id); err != nil {\n"}),
			of(audit.CheckLost), ""},
		{keepsPlace, changes([3]string{taskFile, "	t.part.Abort()\n	t.rewind()\n",
			"	t.part.Abort()\n	next := t.next\n	if t.rewind(); isMutant() {\n		t.next = next\n	}\n"}),
			of(audit.CheckLost), ""},
		{keepsState, changes([3]string{taskFile, "	t.part.Abort()\n",
			"	if !isMutant() {\n		t.part.Abort()\n	}\n"}), of(audit.CheckEventIndex), ""},
		// A client that stays where it was is found out, unless nobody looks.
		{goesForward, nil, nil, ""},
		{unguardedBehind, changes([3]string{workFile, "		if first > p.atMost {",
			"		if first > p.atMost && !isMutant() {"}), of(audit.CheckLost), ""},
		// And so is a broker that committed what the client takes for aborted.
		{misreports, nil, nil, ""},
		{believed, changes([3]string{commitFile, "	if !l.sent {", "	if !l.sent || isMutant() {"}),
			of(audit.CheckDoubled), ""},
	}
	for i := range all {
		all[i].says = "transaction aborted"
		if all[i].name == misreports {
			all[i].says = "it was reported as aborted, but"
		}
	}
	return all
}

// abortOnce aborts a transaction, as a rebalance does that comes between. The client of the first
// two mutants does not go back to what is committed.
func abortOnce(forward, unguarded string, others ...string) string {
	return fmt.Sprintf("	if touched[0].first >= %d && onceMutant(%q, %q, %s) {\n"+
		"		read := l.sess.Client().UncommittedOffsets()\n"+
		"		committed, err := l.sess.End(ctx, kgo.TryAbort)\n"+
		"		if isMutant(%[2]q, %[3]q) {\n			l.sess.Client().SetOffsets(read)\n		}\n"+
		"		return committed, err\n	}\n",
		partEvents, forward, unguarded, `"`+strings.Join(others, `", "`)+`"`)
}

// misreportOnce commits a transaction and calls it aborted, as the client does if the broker fails
// when it has committed.
func misreportOnce(names ...string) string {
	return fmt.Sprintf("	if touched[0].first >= %d && onceMutant(%s) {\n"+
		"		before := l.sess.Client().CommittedOffsets()\n"+
		"		_, err := l.sess.End(ctx, kgo.TryCommit)\n"+
		"		l.sess.Client().SetOffsets(before)\n		return false, err\n	}\n",
		partEvents, `"`+strings.Join(names, `", "`)+`"`)
}
