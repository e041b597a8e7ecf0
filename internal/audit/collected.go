package audit

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// What sessions take from events is compared in a form of the auditor's own: the decoded texts,
// with their names, in one order.

// The sizes beyond which texts and objects are not collected, as JSON.
const (
	collectedTextMax   = 1024
	collectedObjectMax = 2048
	campaignMembersMax = 32
)

// jsonLength is how long a text is as JSON.
func jsonLength(text []byte) int {
	n := 2 + len(text)
	for _, c := range text {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f':
			n++
		case c < ' ':
			n += 5
		}
	}
	return n
}

// collectedText is the first text among some places. One that is too long goes without its query.
func collectedText(d *document, places []place, around int, name string) string {
	text := d.known(places)
	if text == nil {
		return ""
	}
	if jsonLength(text)+around > collectedTextMax {
		i := bytes.IndexAny(text, "?#")
		if i < 0 || jsonLength(text[:i])+around > collectedTextMax {
			return ""
		}
		text = text[:i]
	}
	return name + string(text)
}

// campaignOf is the campaign of an event: its own object's texts, with the click ids of the URL,
// or else the URL's utm_* and click ids.
func (f *form) campaignOf(d *document) string {
	own := map[string]string{}
	text := ""
	for _, p := range f.paths["campaign"] {
		n := d.find(p)
		if n == nil || n.kind != '{' {
			continue
		}
		own = map[string]string{}
		for c := n.first; c != 0; c = d.nodes[c].next {
			m := &d.nodes[c]
			value := string(d.content(m))
			if isNumber(m.kind) {
				value = string(d.raw(m))
			}
			own[campaignName(m.name)] = value
		}
		if len(own) > campaignMembersMax {
			return ""
		}
		if text = campaignText(own); text != "" {
			break
		}
	}
	if paths, given := f.Paths["campaign"]; given && len(paths) == 0 {
		return text
	}
	if text == "" {
		own = map[string]string{}
	}
	if !addQuery(own, d.known(f.paths["url"]), text != "") {
		return text
	}
	if all := campaignText(own); all != "" {
		return all
	}
	return text
}

// addQuery adds what a URL's query says of a campaign; false: nothing, or more than there may be.
func addQuery(to map[string]string, address []byte, clicks bool) (found bool) {
	whole, _, _ := strings.Cut(string(address), "#")
	_, query, _ := strings.Cut(whole, "?")
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || strings.Contains(pair, ";") {
			continue
		}
		name, err := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err != nil || err2 != nil {
			continue
		}
		isUTM := strings.HasPrefix(name, "utm_") && len(name) > len("utm_")
		if isUTM && clicks || !isUTM && !slices.Contains(clickIDs(), name) {
			continue
		}
		found = true
		if name = campaignName(name); to[name] == "" {
			to[name] = value
		}
		if len(to) > campaignMembersMax {
			return false
		}
	}
	return found
}

func clickIDs() []string { return []string{"gclid", "fbclid", "msclkid", "ttclid"} }

func campaignName(name string) string {
	if len(name) > len("utm_") {
		name = strings.TrimPrefix(name, "utm_")
	}
	if name == "campaign" {
		return "name"
	}
	return name
}

func campaignText(members map[string]string) string {
	length := 1
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if value := members[name]; value != "" {
			length += jsonLength([]byte(name)) + jsonLength([]byte(value)) + 2
			b.WriteString(name + "\x00" + value + "\x00")
		}
	}
	if length > collectedObjectMax {
		return ""
	}
	return b.String()
}

// contextMember is a scalar of the context: where it is in an event and in what is collected.
type contextMember struct {
	from place
	to   string
}

func newContextMember(text string) contextMember {
	to, path, renamed := strings.Cut(text, "=")
	if !renamed {
		to, path = strings.TrimPrefix(text, "context."), text
	}
	return contextMember{splitPath(path), to}
}

// contextOf is the context of an event: those of the configured scalars that say something.
func (f *form) contextOf(d *document) string {
	members := map[string]string{}
	objects := map[string]bool{}
	length := 1
	for i := range f.context {
		m := &f.context[i]
		n := d.find(m.from)
		if n == nil || n.kind == '{' || n.kind == '[' || n.kind == 'n' || n.kind == opaque ||
			string(d.raw(n)) == `""` {
			continue
		}
		members[m.to] = f.scalar(d, n)
		names := strings.Split(m.to, ".")
		value := n.end - n.start
		if n.kind == '"' && bytes.IndexByte(d.raw(n), '\\') >= 0 {
			value = jsonLength(d.content(n))
		}
		length += jsonLength([]byte(names[len(names)-1])) + value + 2
		for k := 1; k < len(names); k++ {
			if object := strings.Join(names[:k], "."); !objects[object] {
				objects[object] = true
				length += jsonLength([]byte(names[k-1])) + 3
			}
		}
	}
	if length > collectedObjectMax {
		return ""
	}
	return contextText(members)
}

func contextText(members map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.WriteString(name + "\x00" + members[name] + "\x00")
	}
	return b.String()
}

// scalar is a value as it is compared: a text decoded, of others the JSON.
func scalar(d *document, n *node) string {
	if n.kind == '"' {
		return `"` + string(d.content(n))
	}
	return string(d.raw(n))
}

// scalar is a value as visits tell it: in Avro all of them are texts.
func (f *form) scalar(d *document, n *node) string {
	text := scalar(d, n)
	if f.VisitsAvro {
		text = strings.TrimPrefix(text, `"`)
	}
	return text
}

// flatten collects the scalars of an object by their paths.
func (f *form) flatten(d *document, n *node, prefix string, to map[string]string) {
	for c := n.first; c != 0; c = d.nodes[c].next {
		m := &d.nodes[c]
		if m.kind == '{' {
			f.flatten(d, m, prefix+m.name+".", to)
			continue
		}
		to[prefix+m.name] = f.scalar(d, m)
	}
}
