package audit

import (
	"strconv"
	"strings"
)

// stamped reads what the output says of the session: every field that is written, and whether all
// places say the same. in is the event as it came, out as it went.
func (f *form) stamped(in, out *document, to *[fieldCount]string) (wrongs []string) {
	for i := range f.objects {
		o := &f.objects[i]
		n := out.find(o.place)
		if n == nil {
			continue
		}
		for c := n.first; c != 0; c = out.nodes[c].next {
			if name := out.nodes[c].name; !contains(o.names, name) {
				wrongs = append(wrongs, strings.Join(o.place, ".")+" has a member that is not ours")
			}
		}
	}
	wrongs = append(wrongs, f.repeated(out)...)
	has := make([]*node, len(f.members))
	for i := range f.members {
		m := &f.members[i]
		has[i] = out.find(m.place)
		if has[i] == nil || m.field < 0 || to[m.field] != "" {
			continue
		}
		if text := fieldText(out, has[i], m.field); text != "" &&
			!(m.other != "" && string(out.raw(has[i])) == m.other) {
			to[m.field] = text
		}
	}
	inSession := to[fieldID] != ""
	for i := range f.members {
		m := &f.members[i]
		if what := f.placeFault(out, m, has[i], to, inSession); what != "" {
			wrongs = append(wrongs, strings.Join(m.place, ".")+" "+what)
		}
	}
	for i := range f.copies {
		if !f.copies[i].holds(in, out, inSession) {
			wrongs = append(wrongs, strings.Join(f.copies[i].place, ".")+" is not what it has to copy")
		}
	}
	return wrongs
}

// placeFault says what is wrong with a member that is written, compared with the same field at
// other places.
func (f *form) placeFault(out *document, m *member, n *node, to *[fieldCount]string,
	inSession bool) string {
	other := m.other
	if out.isAvro && other == "null" {
		other = "" // what is null is as good as absent
	}
	switch {
	case n == nil && m.field >= 0 && (to[m.field] != "" || inSession && other != ""):
		return "is missing"
	case n == nil:
		return ""
	case m.field < 0:
		return "is not asked for and there"
	case inSession && m.other != "" && to[m.field] == "" && string(out.raw(n)) == m.other:
		return ""
	case fieldText(out, n, m.field) != to[m.field] || to[m.field] == "":
		return "says something else than the session's other members"
	}
	return ""
}

// repeated tells what is there more than once of what the session is written to: readers differ in
// which one counts.
func (f *form) repeated(out *document) (wrongs []string) {
	if out.isAvro || len(out.nodes) == 0 {
		return nil
	}
	atMost := func(p place, times int) {
		if out.count(&out.nodes[0], p) > times {
			wrongs = append(wrongs, strings.Join(p, ".")+map[bool]string{true: " is there twice",
				false: " is removed by the profile and there"}[times > 0])
		}
	}
	for i := range f.objects {
		atMost(f.objects[i].place, 1)
	}
	for i := range f.members {
		atMost(f.members[i].place, 1)
	}
	for i := range f.copies {
		atMost(f.copies[i].place, 1)
	}
	for _, p := range f.removed {
		atMost(p, 0)
	}
	return wrongs
}

// fieldText is the value of a field in the form in which it is compared; empty: it has none.
func fieldText(d *document, n *node, field int) string {
	switch {
	case field == fieldCampaign:
		return campaignJSON(d.raw(n))
	case field == fieldStartedAt && d.isAvro:
		return timeOf(d, n)
	case n.kind == '"':
		return string(d.content(n))
	case n.kind == 'n' || n.kind == '{' || n.kind == '[':
		return ""
	}
	return string(d.raw(n))
}

// timeOf is a time of ours in Avro, where it may have another type than we would give it.
func timeOf(d *document, n *node) string {
	ms, ok := parseTime(string(d.content(n)))
	if isNumber(n.kind) {
		long, err := strconv.ParseInt(string(d.raw(n)), 10, 64)
		ms, ok = long, err == nil
	}
	if !ok {
		return ""
	}
	return timeText(ms)
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// holds reports whether a value that copies another is what it has to be.
func (c *copied) holds(in, out *document, inSession bool) bool {
	want := copiedText(in, in.find(c.place))
	if inSession {
		if from := c.source(in); from != nil {
			want = copiedText(in, from)
		} else if c.other != "" {
			want = c.other
		}
	}
	got := copiedText(out, out.find(c.place))
	if out.isAvro { // the field's type decides whether it is a text
		return strings.Trim(got, `"`) == strings.Trim(want, `"`)
	}
	return got == want
}

func copiedText(d *document, n *node) string {
	if n == nil {
		return ""
	}
	return string(d.raw(n))
}

func (c *copied) source(in *document) *node {
	for _, p := range c.from {
		n := in.find(p)
		if n == nil || n.kind == 'n' || n.kind == '{' || n.kind == '[' || n.kind == opaque {
			continue
		}
		if n.kind != '"' || !isBlank(in.raw(n)[1:n.end-n.start-1]) {
			return n
		}
	}
	return nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
