package audit

import (
	"fmt"
	"strings"
)

// checksOfFields says which check a field of a stamp belongs to.
func checkOfField(field int) Check {
	switch field {
	case fieldStart:
		return CheckStart
	case fieldIndex:
		return CheckIndex
	case fieldEventIndex:
		return CheckEventIndex
	case fieldPreviousID:
		return CheckPreviousID
	case fieldUUID:
		return CheckUUID
	}
	return CheckFields
}

// compareStamp holds what the output says of an event against what the rules make of it. Where it
// is in another session nothing more can be told from the rules: the key is lost.
func (j *judge) compareStamp(k *key, f *fact, d *decision, want [fieldCount]string) {
	if wantAbsent := d.state == "dropped"; f.absent != wantAbsent {
		c := CheckLost
		if wantAbsent {
			c = CheckDropped
		}
		j.find(c, f, "deduplication has to drop it: %t; the output has it: %t", wantAbsent, !f.absent)
		return
	}
	if f.absent {
		j.r.Dropped++
		return
	}
	j.count(d)
	if j.f.written[fieldID] && f.stamp[fieldID] != want[fieldID] {
		c := CheckSession
		if d.opens && f.stamp[fieldStart] == "true" && k.knew(f.stamp[fieldID], d.session) {
			c = CheckReused
		}
		j.find(c, f, "%s", j.otherwise(k, f, d))
		k.lose(f)
		return
	}
	for field, got := range f.stamp {
		if !j.f.written[field] || got == want[field] {
			continue
		}
		j.find(checkOfField(field), f, "%s is %s, the log says %s", fieldNames()[field],
			j.show(field, got), j.show(field, want[field]))
	}
}

func (j *judge) count(d *decision) {
	switch {
	case d.opens:
		j.r.Sessions++
	case d.attaches:
		j.r.Attached++
	case d.session == nil:
		j.r.Sessionless++
	}
}

// show is the value of a field in a finding: those that are or may be the client's are not shown.
func (j *judge) show(field int, text string) string {
	switch {
	case text == "":
		return "absent"
	case j.f.ShowKeys:
		return text
	case field == fieldClientID || field == fieldCampaign || field == fieldFirstEventID ||
		field == fieldPreviousID || field == fieldUUID:
		return "another value"
	}
	return text
}

// otherwise says where an event is and where it belongs.
func (j *judge) otherwise(k *key, f *fact, d *decision) string {
	where := "in no session"
	if id := f.stamp[fieldID]; id != "" {
		where = "in a session that the key does not have"
		for _, s := range k.sessions {
			if s.id == id && !(d.opens && s == d.session) {
				where = fmt.Sprintf("in session #%d", s.index)
			}
		}
		if f.stamp[fieldStart] == "true" {
			where = "the start of a session"
		}
	}
	belongs := "belongs in none"
	if d.session != nil {
		belongs = fmt.Sprintf("belongs in session #%d, %s from it", d.session.index, gapText(d.gapMs))
	}
	if d.opens {
		belongs = fmt.Sprintf("begins session #%d (%s)", d.session.index, d.reason)
	}
	if d.state != "" && d.session == nil {
		belongs += " (" + d.state + ")"
	}
	return fmt.Sprintf("it is %s; by the rules it %s", where, belongs)
}

func gapText(ms int64) string { return fmt.Sprintf("%d ms", ms) }

// knew reports whether an id was another session's before.
func (k *key) knew(id string, but *session) bool {
	for _, s := range k.sessions {
		if s != but && s.id == id {
			return true
		}
	}
	return k.inHistory(id) != nil
}

// thread is what can be told of one session id without its past.
type thread struct {
	index, uuid string
	eventIndex  int64
	revision    int64
	seen        int64 // watermark at its last event
}

// lose gives up judging a key by the rules.
func (k *key) lose(f *fact) {
	k.lost = true
	k.alone = map[string]*thread{}
	for _, s := range append(k.left, k.sessions...) {
		k.alone[s.id] = &thread{index: number(s.index), eventIndex: s.carried, revision: s.revision,
			seen: s.changed}
	}
	delete(k.alone, "")
	if t := k.alone[f.stamp[fieldID]]; t != nil {
		t.eventIndex = 0 // it may have counted the event or not
	}
	k.sessions, k.left, k.after = nil, nil, nil
}

// follow judges an event of a key whose past is not known: what its session's events and visits say
// of each other.
func (j *judge) follow(k *key, f *fact) {
	if k.alone == nil {
		k.alone = map[string]*thread{}
	}
	j.followVisits(k)
	j.r.Unproved++
	id := f.stamp[fieldID]
	if f.absent || f.dead || id == "" {
		return
	}
	t := k.alone[id]
	isStart := f.stamp[fieldStart] == "true"
	switch {
	case t == nil:
		t = &thread{index: f.stamp[fieldIndex], uuid: f.stamp[fieldUUID]}
		k.alone[id] = t
		if isStart {
			j.r.Sessions++
		}
	case isStart && k.mayReturn(t, f):
		*t = thread{index: f.stamp[fieldIndex], uuid: f.stamp[fieldUUID]} // the id was given anew
	case isStart:
		j.find(CheckStart, f, "it is a second start of its session")
	}
	t.seen = f.watermark
	if t.index != f.stamp[fieldIndex] {
		j.find(CheckIndex, f, "index is %s, that of its session was %s", f.stamp[fieldIndex], t.index)
	}
	if t.uuid != "" && f.stamp[fieldUUID] != "" && t.uuid != f.stamp[fieldUUID] {
		j.find(CheckUUID, f, "its session has two uuids")
	}
	var n int64
	if _, err := fmt.Sscan(f.stamp[fieldEventIndex], &n); err == nil {
		if t.eventIndex != 0 && n != t.eventIndex+1 && !isStart {
			j.find(CheckEventIndex, f, "eventIndex is %d behind %d", n, t.eventIndex)
		}
		t.eventIndex = n
	}
}

// mayReturn reports whether an id may have been forgotten for good: the key is gone, or remembers
// others.
func (k *key) mayReturn(t *thread, f *fact) bool {
	return f.watermark > t.seen+k.f.RetentionMs || k.f.IDs != "assign" && len(k.alone) > k.f.Remembered
}

func (j *judge) followVisits(k *key) {
	for _, f := range k.waiting {
		v := f.visit
		t := k.alone[v.id]
		if v.begins || t == nil || t.index != "" && t.index != number(v.index) {
			continue
		}
		if t.revision != 0 && v.revision <= t.revision {
			j.find(CheckVisitDoubled, f, "%s comes behind revision %d", j.name(v), t.revision)
		}
		if t.revision != 0 && v.revision > t.revision+1 && !j.gaps {
			j.find(CheckRevision, f, "%s comes behind revision %d", j.name(v), t.revision)
		}
		t.revision = v.revision
	}
	k.waiting = nil
}

// keyName is how a finding names a key.
func (f *form) keyName(key string) string {
	if key == "" || f.ShowKeys {
		return strings.TrimPrefix(strings.ReplaceAll(key, "\x00", "/"), "/")
	}
	return hashText(key)
}
