package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"sessionizer/session"
)

// What sessions collect is kept in the state, several texts of each session: each is bounded. It
// is made in the form it is written, JSON without white space.
const (
	collectedTextBytesMax   = 1024 // a place, a referrer
	collectedObjectBytesMax = 2048 // a campaign, a context
)

// scanCollected finds what sessions collect of an event.
func (c *Codec) scanCollected(value []byte, sc *Scanned) {
	e := &sc.Event
	if c.lifecycle != nil {
		if name, ok := c.known(value, pathEvent, sc); ok {
			e.Lifecycle = c.lifecycle[string(name)]
		}
	}
	sc.made = sc.made[:0]
	switch e.Kind {
	case session.KindPage:
		e.Place = c.collect(`{"url":`, `}`, pathURL, value, sc)
	case session.KindScreen:
		e.Place = c.collect(`{"screen":`, `}`, pathScreen, value, sc)
	}
	e.Referrer = c.collect("", "", pathReferrer, value, sc)
	e.Campaign = c.collectCampaign(value, sc)
	if len(c.context) > 0 {
		n := len(sc.made)
		sc.made = sc.appendContext(sc.made, c.context, value)
		e.Context = sc.collected(n, collectedObjectBytesMax)
	}
}

// lifecycleOf returns the changes of sides by the names of their events.
func lifecycleOf(l Lifecycle) map[string]session.Lifecycle {
	if len(l.Foreground)+len(l.Background) == 0 {
		return nil
	}
	names := map[string]session.Lifecycle{}
	for _, name := range l.Background {
		names[name] = session.LifecycleBackground
	}
	for _, name := range l.Foreground {
		names[name] = session.LifecycleForeground
	}
	return names
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
		sc.made = append(sc.made, before...)
		sc.made = appendText(sc.made, text)
		sc.made = append(sc.made, after...)
		if made := sc.collected(n, collectedTextBytesMax); made != nil {
			return made
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

// contextMember is a member of the context that sessions collect. Members are in pre-order.
type contextMember struct {
	label string // `,"name":`
	place *trieBuilder
	node  int // the place of its value; 0: it is an object
	below int // members inside of it
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
	return contextMembers(nil, made, from)
}

func contextMembers(list []contextMember, at *trieBuilder,
	from map[*trieBuilder]*trieBuilder) ([]contextMember, error) {
	for _, k := range at.kids {
		i := len(list)
		list = append(list, contextMember{place: from[k],
			label: string(appendText([]byte{','}, k.name)) + ":"})
		if from[k] != nil && len(k.kids) > 0 {
			return nil, fmt.Errorf("%s: inside of %s", k.kids[0].somePath(), k.path)
		}
		var err error
		if list, err = contextMembers(list, k, from); err != nil {
			return nil, err
		}
		list[i].below = len(list) - i - 1
	}
	return list, nil
}

// placeCollected gives what is collected its places, when these have their numbers.
func (c *Codec) placeCollected() {
	for i := range c.context {
		if from := c.context[i].place; from != nil {
			c.context[i].node = from.node
		}
	}
	c.collects = c.lifecycle != nil || len(c.context) > 0
	for _, p := range [...]path{pathURL, pathScreen, pathReferrer, pathCampaign} {
		c.collects = c.collects || len(c.paths[p]) > 0
	}
}

// appendContext appends the object of those members that are there, or nothing.
func (sc *Scanned) appendContext(dst []byte, members []contextMember, value []byte) []byte {
	open := len(dst)
	for i := 0; i < len(members); i += members[i].below + 1 {
		m := &members[i]
		n := len(dst)
		dst = append(dst, m.label...)
		begun := len(dst)
		if m.below > 0 {
			dst = sc.appendContext(dst, members[i+1:i+1+m.below], value)
		} else {
			dst = sc.appendScalar(dst, value, &sc.reader.slots[m.node])
		}
		if len(dst) == begun {
			dst = dst[:n]
		}
	}
	if len(dst) == open {
		return dst
	}
	dst[open] = '{' // in the place of the first comma
	return append(dst, '}')
}

// appendScalar appends a scalar that is not empty as it is written: a text with no escapes but
// those it needs, all else as it stands.
func (sc *Scanned) appendScalar(dst, value []byte, s *slot) []byte {
	switch {
	case s.first == 0, s.first == '{', s.first == '[', s.first == 'n',
		s.first == '"' && s.end-s.start == 2:
		return dst
	case s.escaped:
		return appendText(dst, sc.text(value, s))
	}
	return append(dst, value[s.start:s.end]...)
}
