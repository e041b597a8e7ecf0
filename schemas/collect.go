package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"sessionizer/session"
)

// What sessions collect is kept in the state, several texts of each session: each is bounded. It
// is made in the form it is written, JSON without white space.
const (
	collectedTextBytesMax   = 1024 // a place, a referrer
	collectedObjectBytesMax = 2048 // a campaign, a context
)

// scanCollected finds what sessions collect of an event, the details when they ask for them.
func (c *Codec) scanCollected(value []byte, sc *Scanned) {
	e := &sc.Event
	if len(c.lifecycle) > 0 {
		if name, ok := c.known(value, pathEvent, sc); ok {
			for i := range c.lifecycle {
				if c.lifecycle[i].name == string(name) {
					e.Lifecycle = c.lifecycle[i].what
					break
				}
			}
		}
	}
	sc.made = sc.made[:0]
	switch e.Kind {
	case session.KindPage:
		e.Place = c.collect(`{"url":`, `}`, pathURL, value, sc)
	case session.KindScreen:
		e.Place = c.collect(`{"screen":`, `}`, pathScreen, value, sc)
	}
	sc.codec, sc.value = c, value
	e.Details = sc
}

// Referrer is one of the session.Details, made from the value that was scanned.
func (sc *Scanned) Referrer() []byte {
	return sc.codec.collect("", "", pathReferrer, sc.value, sc)
}

// Campaign is another one.
func (sc *Scanned) Campaign() []byte { return sc.codec.collectCampaign(sc.value, sc) }

// Context is another one.
func (sc *Scanned) Context() []byte {
	if len(sc.codec.context) == 0 {
		return nil
	}
	n := len(sc.made)
	sc.made = sc.appendContext(sc.made, sc.codec.context, sc.value)
	return sc.collected(n, collectedObjectBytesMax)
}

// lifecycleEvent is the name of an event that tells of a change of sides.
type lifecycleEvent struct {
	name string
	what session.Lifecycle
}

func lifecycleOf(l Lifecycle) []lifecycleEvent {
	var events []lifecycleEvent
	for _, name := range l.Foreground {
		events = append(events, lifecycleEvent{name, session.LifecycleForeground})
	}
	for _, name := range l.Background {
		events = append(events, lifecycleEvent{name, session.LifecycleBackground})
	}
	return events
}

// collected returns what has been made from n on, if there is any and it is within its limit.
func (sc *Scanned) collected(n, bytesMax int) []byte {
	text := sc.made[n:len(sc.made):len(sc.made)]
	if len(text) > bytesMax {
		sc.Notes |= NoteCollectedLong
		sc.made = sc.made[:n]
		return nil
	}
	if len(text) == 0 {
		return nil
	}
	return text
}

// collect returns the text at a path as it is written, between before and after. One that is too
// long, a URL, say, goes without its query and its fragment.
func (c *Codec) collect(before, after string, p path, value []byte, sc *Scanned) []byte {
	s := c.textSlot(p, sc)
	if s == nil {
		return nil
	}
	n := len(sc.made)
	if !s.escaped && int(s.end-s.start)+len(before)+len(after) <= collectedTextBytesMax {
		if before == "" {
			return value[s.start:s.end:s.end]
		}
		sc.made = append(sc.made, before...)
		sc.made = append(sc.made, value[s.start:s.end]...)
		sc.made = append(sc.made, after...)
		return sc.made[n:len(sc.made):len(sc.made)]
	}
	text := sc.text(value, s)
	for {
		if len(text) > collectedTextBytesMax {
			sc.Notes |= NoteCollectedLong // it is no shorter when it is written out
		} else {
			sc.made = append(sc.made, before...)
			sc.made = appendText(sc.made, text)
			sc.made = append(sc.made, after...)
			if made := sc.collected(n, collectedTextBytesMax); made != nil {
				return made
			}
		}
		i := bytes.IndexAny(text, "?#")
		if i < 0 {
			return nil
		}
		text = text[:i]
	}
}

// textSlot returns the first text that is not empty among the places of p.
func (c *Codec) textSlot(p path, sc *Scanned) *slot {
	for _, n := range c.paths[p] {
		if s := &sc.reader.slots[n]; s.first == '"' && s.end-s.start > 2 {
			return s
		}
	}
	return nil
}

// contextMember is a scalar of the context that sessions collect.
type contextMember struct {
	labels []string // `"name":` of the objects it is in, and its own
	shared int      // how many of the labels the member in front of it has too
	place  *trieBuilder
	node   int32 // its place in the event
}

// contextOf reads the paths of the context: those of its members in the event, less a leading
// context., are those in what is collected, but where an entry is NAMES=PATH.
func contextOf(root *trieBuilder, list PathList) ([]contextMember, error) {
	made := &trieBuilder{}
	from := map[*trieBuilder]*trieBuilder{}
	var faults []error
	for _, text := range list {
		to, path, renamed := strings.Cut(text, "=")
		if !renamed {
			to, path = strings.TrimPrefix(text, "context."), text
		}
		if path == KeyPath {
			faults = append(faults, fmt.Errorf("%s: the record key is no member of an event", path))
			continue
		}
		place, err := root.add(path)
		if err == nil {
			var member *trieBuilder
			if member, err = made.add(to); err == nil && from[member] != nil {
				err = fmt.Errorf("%s: twice", to)
			}
			from[member] = place
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return contextMembers(made, from, nil)
}

// contextMembers lists the scalars below a place of what is made, so that those of an object lie
// side by side.
func contextMembers(at *trieBuilder, from map[*trieBuilder]*trieBuilder,
	labels []string) ([]contextMember, error) {
	var list []contextMember
	for _, k := range at.kids {
		if from[k] != nil && len(k.kids) > 0 {
			return nil, fmt.Errorf("%s: inside of %s", k.kids[0].somePath(), k.path)
		}
		label := append(slices.Clone(labels), string(appendText(nil, k.name))+":")
		if from[k] != nil {
			list = append(list, contextMember{labels: label, shared: len(labels), place: from[k]})
			continue
		}
		below, err := contextMembers(k, from, label)
		if err != nil {
			return nil, err
		}
		below[0].shared = len(labels)
		list = append(list, below...)
	}
	return list, nil
}

// placeCollected gives what is collected its places, when these have their numbers.
func (c *Codec) placeCollected() {
	for i := range c.context {
		c.context[i].node = int32(c.context[i].place.node)
	}
	c.collects = len(c.lifecycle) > 0 || len(c.context) > 0
	for _, p := range [...]path{pathURL, pathScreen, pathReferrer, pathCampaign} {
		c.collects = c.collects || len(c.paths[p]) > 0
	}
}

// appendContext appends the object of those members that are there and not empty, or nothing.
func (sc *Scanned) appendContext(dst []byte, members []contextMember, value []byte) []byte {
	open := 0             // objects that are
	shared := math.MaxInt // labels of the last member that was appended and of this one
	for i := range members {
		m := &members[i]
		shared = min(shared, m.shared)
		s := &sc.reader.slots[m.node]
		if s.first == 0 || isEmptyScalar(s) {
			continue
		}
		if open == 0 {
			dst, shared = append(dst, '{'), 0
		} else {
			for ; open > shared+1; open-- {
				dst = append(dst, '}')
			}
			dst = append(dst, ',')
		}
		for k, label := range m.labels[shared:] {
			if k > 0 {
				dst = append(dst, '{')
			}
			dst = append(dst, label...)
		}
		if s.escaped {
			dst = appendText(dst, sc.text(value, s))
		} else {
			dst = append(dst, value[s.start:s.end]...)
		}
		open, shared = len(m.labels), math.MaxInt
	}
	for ; open > 0; open-- {
		dst = append(dst, '}')
	}
	return dst
}

// isEmptyScalar reports whether a value is no scalar, or one that says nothing.
func isEmptyScalar(s *slot) bool {
	switch s.first {
	case '"':
		return s.end-s.start == 2
	case '{', '[', 'n', avroOpaque:
		return true
	}
	return false
}
