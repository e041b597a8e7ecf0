package schemas

import "bytes"

// A campaign is an object of texts: the event's own (Segment's context.campaign, say) and the click
// ids, which ad networks add to links, of the URL's query. SDKs take the utm_* into their object
// and leave click ids in the URL: those that the object lacks come from there. The utm_* of the
// query count where the event has no object with a text. In both utm_X is X, and campaign is name.
// Members are in one order, whatever theirs was, so that two campaigns are the same if their bytes
// are: the known ones, others by name, the click ids.

// campaignMembersMax bounds a campaign: what has more members is none.
const campaignMembersMax = 32

const utmPrefix = "utm_"

// campaignMember is a member whose text has its escapes decoded.
type campaignMember struct {
	name, text []byte
	rank       int // of the name; others stand between the known ones and the click ids
}

// campaignLabels are the known names by their ranks, as they are written.
var campaignLabels = [...]string{`,"name":`, `,"source":`, `,"medium":`, `,"term":`, `,"content":`,
	`,"id":`, "", `,"gclid":`, `,"fbclid":`, `,"msclkid":`, `,"ttclid":`}

// rankOther is the rank of all other names: the click ids are behind them.
const rankOther = 6

func rankOf(name []byte) int {
	switch string(name) {
	case "name", "campaign":
		return 0
	case "source":
		return 1
	case "medium":
		return 2
	case "term":
		return 3
	case "content":
		return 4
	case "id":
		return 5
	case "gclid":
		return 7
	case "fbclid":
		return 8
	case "msclkid":
		return 9
	case "ttclid":
		return 10
	}
	return rankOther
}

// collectCampaign returns the campaign of an event; nil: none.
func (c *Codec) collectCampaign(value []byte, sc *Scanned) []byte {
	own, ok := c.ownCampaign(value, sc)
	if !ok || c.noCampaign {
		return own
	}
	s := c.textSlot(pathURL, sc)
	if s == nil {
		return own
	}
	if found, ok := sc.readQuery(sc.text(value, s), own != nil); !found || !ok {
		return own
	}
	if text := sc.campaignText(); text != nil {
		return text
	}
	return own // which fits without the click ids
}

// ownCampaign returns that of the first object with a text; nil: none. Its members stay in sc.
// False: one has too many.
func (c *Codec) ownCampaign(value []byte, sc *Scanned) (text []byte, ok bool) {
	sc.campaign = sc.campaign[:0]
	for _, n := range c.paths[pathCampaign] {
		if s := &sc.reader.slots[n]; s.first == '{' {
			if !sc.readCampaign(value[s.start:s.end], c.limits.JSONDepth) {
				return nil, false
			}
			if text := sc.campaignText(); text != nil {
				return text, true
			}
			sc.campaign = sc.campaign[:0]
		}
	}
	return nil, true
}

// setCampaign sets a member; with keep a text that is there already stays. False: there are too
// many.
func (sc *Scanned) setCampaign(name, text []byte, keep bool) bool {
	rank := rankOf(name)
	i := 0
	for i < len(sc.campaign) {
		m := &sc.campaign[i]
		order := rank - m.rank
		if order == 0 && rank == rankOther {
			order = bytes.Compare(name, m.name)
		}
		if order == 0 {
			if !keep || len(m.text) == 0 {
				m.text = text
			}
			return true
		}
		if order < 0 {
			break
		}
		i++
	}
	if len(sc.campaign) == campaignMembersMax {
		sc.Notes |= NoteCollectedLong
		return false
	}
	sc.campaign = append(sc.campaign, campaignMember{})
	copy(sc.campaign[i+1:], sc.campaign[i:])
	sc.campaign[i] = campaignMember{name: name, text: text, rank: rank}
	return true
}

// campaignText returns the members with a text as an object; nil: there is none, or too much.
func (sc *Scanned) campaignText() []byte {
	n := len(sc.made)
	for i := range sc.campaign {
		m := &sc.campaign[i]
		if len(m.text) == 0 {
			continue
		}
		if m.rank == rankOther {
			sc.made = append(sc.made, ',')
			sc.made = appendText(sc.made, m.name)
			sc.made = append(sc.made, ':')
		} else {
			sc.made = append(sc.made, campaignLabels[m.rank]...)
		}
		sc.made = appendText(sc.made, m.text)
	}
	if len(sc.made) == n {
		return nil
	}
	sc.made[n] = '{' // in the place of the first comma
	sc.made = append(sc.made, '}')
	return sc.collected(n, collectedObjectBytesMax)
}

// readCampaign takes the members of an object that has been checked: texts, and numbers as they
// are written, because a query has only texts. The last of a name counts.
func (sc *Scanned) readCampaign(b []byte, depthMax int) bool {
	s := checker{depthMax: depthMax}
	for i := past(b, 1); b[i] != '}'; i = past(b, i) {
		if b[i] == ',' {
			i = past(b, i+1)
		}
		s.escaped = false
		start := i
		i = s.text(b, i+1)
		name := sc.text(b, &slot{start: int32(start), end: int32(i), escaped: s.escaped})
		i = s.colon(b, i)
		s.escaped = false
		start = i
		i = s.value(b, i, 0)
		var text []byte
		switch first := b[start]; {
		case first == '"':
			text = sc.text(b, &slot{start: int32(start), end: int32(i), escaped: s.escaped})
		case isNumberFirst(first):
			text = b[start:i]
		}
		if !sc.setCampaign(campaignName(name), text, false) {
			return false
		}
	}
	return true
}

// readQuery takes the campaign's parameters of a URL's query, or the click ids among them. Their
// encoding is that of HTML forms, as net/url reads it; a pair that is ill-formed is passed over.
// The first of a name that is not empty counts. Not ok: there are too many.
func (sc *Scanned) readQuery(url []byte, clicks bool) (found, ok bool) {
	if i := bytes.IndexByte(url, '#'); i >= 0 {
		url = url[:i]
	}
	i := bytes.IndexByte(url, '?')
	if i < 0 {
		return false, true
	}
	query := url[i+1:]
	plain := bytes.IndexByte(query, '%') < 0 && bytes.IndexByte(query, '+') < 0 &&
		bytes.IndexByte(query, ';') < 0
	for len(query) > 0 {
		pair := query
		if i = bytes.IndexByte(pair, '&'); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		if i = bytes.IndexByte(pair, '='); i < 0 || i+1 == len(pair) {
			continue
		}
		name, text := pair[:i], pair[i+1:]
		if !plain {
			var ok1, ok2 bool
			name, ok1 = sc.unescapeQuery(name)
			text, ok2 = sc.unescapeQuery(text)
			if !ok1 || !ok2 || bytes.IndexByte(pair, ';') >= 0 {
				continue
			}
		}
		known := campaignName(name)
		isUTM := len(known) < len(name)
		if isUTM && clicks || !isUTM && rankOf(name) <= rankOther {
			continue
		}
		if found = true; !sc.setCampaign(known, text, true) {
			return true, false
		}
	}
	return found, true
}

// campaignName returns the name that a member or a parameter has in a campaign.
func campaignName(name []byte) []byte {
	if len(name) > len(utmPrefix) && string(name[:len(utmPrefix)]) == utmPrefix {
		name = name[len(utmPrefix):]
	}
	return name
}

// unescapeQuery returns a part of a query with its escapes decoded; false: one is ill-formed.
func (sc *Scanned) unescapeQuery(text []byte) ([]byte, bool) {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return text, true
	}
	n := len(sc.scratch)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(text) || hexValues[text[i+1]] > 0xf || hexValues[text[i+2]] > 0xf {
				sc.scratch = sc.scratch[:n]
				return nil, false
			}
			c = hexValues[text[i+1]]<<4 | hexValues[text[i+2]]
			i += 2
		}
		sc.scratch = append(sc.scratch, c)
	}
	return sc.scratch[n:len(sc.scratch):len(sc.scratch)], true
}
