package schemas

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sessionizer/session"
)

// path is something of an event that is read. A profile may give several places for one.
type path uint8

const (
	pathAnonymousID path = iota
	pathSource
	pathUserID
	pathMessageID
	pathType
	pathTimestamp
	pathOriginalTimestamp
	pathReceivedAt
	pathSentAt
	pathChannel
	pathLibrary
	pathSessionID
	pathSessionStart
	pathEvent
	pathURL
	pathScreen
	pathReferrer
	pathCampaign
	pathContext

	pathCount
)

var pathNames = [pathCount]string{
	"anonymous_id", "source", "user_id", "message_id", "type", "timestamp", "original_timestamp",
	"received_at", "sent_at", "channel", "library", "session_id", "session_start", "event",
	"url", "screen", "referrer", "campaign", "context",
}

// PathNames returns the names that Config.Paths and a profile's paths may have.
func PathNames() []string { return slices.Clone(pathNames[:]) }

// Codec reads and writes events as a profile says. It does not change: any number of goroutines
// may share it.
type Codec struct {
	trie   trie
	paths  [pathCount][]int // places in the trie, in their order of preference
	byKey  bool             // the record key is the last resort for the anonymous ID
	inner  []inner          // what session members belong into, but the event itself
	edges  []edge           // by place: what a splice writes there
	wants  []fieldSet       // by place: the fields of its edge and of those below it
	writes [][]int          // by place: its members that have wants
	labels []string         // by place: `"name":`, nothing for an element of an array

	copies []int    // places of the values that are copied from elsewhere
	asked  fieldSet // output.fields
	fields fieldSet // what is written anywhere

	rules       [][]condition
	rulesPlaces int // that rules ask
	visits      visitForm

	lifecycle  []lifecycleEvent
	context    []contextMember
	noCampaign bool // paths.campaign is there and empty: nor is it read from the URL
	collects   bool // anything sessions collect is read

	kinds   []kindOf
	mobile  Mobile
	idType  session.IDType
	idMin   int // characters of an int64 id
	sources []TimeSource
	future  session.Millis
	limits  Limits
	format  Format
	book    *Book // nil: no Avro
}

// inner is a place that must hold an object or an array, or nothing.
type inner struct {
	id    int
	first byte // of its value
}

// kindOf is the kind of events of a type.
type kindOf struct {
	name string
	kind session.Kind
}

var errNoAnonymousID = errors.New("paths.anonymous_id: missing")

// NewCodec checks the configuration and reports all its faults at once.
func NewCodec(config Config) (*Codec, error) {
	c := &Codec{
		idType:    config.IDType,
		idMin:     config.Profile.IDCharactersMin,
		mobile:    config.Profile.Mobile,
		lifecycle: lifecycleOf(config.Profile.Lifecycle),
		future:    config.FutureTolerance,
		format:    config.Format,
		book:      config.Book,
	}
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	var err error
	c.asked, err = parseFields(config.Fields)
	fault(prefix("output.fields", err))
	c.sources, err = timeSourcesOf(config.TimeSources)
	fault(prefix("time.sources", err))
	c.limits, err = config.Limits.withDefaults()
	fault(err)
	if config.FutureTolerance < 0 {
		fault(fmt.Errorf("time.future_tolerance: %d ms: want 0 or more", config.FutureTolerance))
	}
	if config.IDType > session.IDString {
		fault(fmt.Errorf("session.id_type: %d: no such type", config.IDType))
	}
	if config.Format >= formats {
		fault(fmt.Errorf("input.format: %d: no such format", config.Format))
	}
	c.visits, err = visitFormOf(config.Profile.Visits)
	for _, one := range leavesOf(err) {
		fault(prefix("profile "+config.Profile.Name, one))
	}
	c.visits.isAvro = config.VisitsFormat == FormatAvro
	c.kinds = kindsOf(config.Profile.Kinds)
	fault(c.compile(config))
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// Book returns the schemas of Avro events; nil: there is no Avro.
func (c *Codec) Book() *Book { return c.book }

// Unknown reports that the value names a schema that must be learned before it can be scanned.
func (c *Codec) Unknown(value []byte) (id uint32, unknown bool) {
	if c.book == nil || c.format == FormatJSON {
		return 0, false
	}
	return c.book.Unknown(value)
}

// FrameVisits makes the visits Avro, in the wire format of Confluent's serializers, with the id
// that a registry has given their schema (VisitSchema). It belongs to the making of a codec:
// nothing may use it yet. A changed copy would not do, for what was compiled belongs to one codec.
func (c *Codec) FrameVisits(id uint32) {
	c.visits.isAvro, c.visits.isFramed, c.visits.schemaID = true, true, id
}

func prefix(key string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return err
}

func kindsOf(k Kinds) []kindOf {
	var kinds []kindOf
	for _, name := range k.Track {
		kinds = append(kinds, kindOf{name, session.KindTrack})
	}
	for _, name := range k.Page {
		kinds = append(kinds, kindOf{name, session.KindPage})
	}
	for _, name := range k.Screen {
		kinds = append(kinds, kindOf{name, session.KindScreen})
	}
	return kinds
}

func timeSourcesOf(sources []TimeSource) ([]TimeSource, error) {
	if len(sources) == 0 {
		return []TimeSource{TimeTimestamp, TimeOriginalTimestamp, TimeRecord}, nil
	}
	for i, s := range sources {
		if s >= timeSources {
			return nil, fmt.Errorf("%d: no such source", s)
		}
		if slices.Contains(sources[:i], s) {
			return nil, fmt.Errorf("%s: twice", s)
		}
	}
	return slices.Clone(sources), nil
}

func (l Limits) withDefaults() (Limits, error) {
	var faults []error
	check := func(key string, v *int, def, most int) {
		if *v == 0 {
			*v = def
		}
		if *v < 1 || *v > most {
			faults = append(faults, fmt.Errorf("limits.%s: %d: want 1 to %d", key, *v, most))
		}
	}
	check("record", &l.Record, recordBytesDefault, recordBytesMax)
	check("json_depth", &l.JSONDepth, jsonDepthDefault, jsonDepthMax)
	check("anonymous_id", &l.AnonymousID, anonymousIDBytesDefault, anonymousIDBytesMax)
	return l, errors.Join(faults...)
}

// compile makes one trie of all that is read, written and removed.
func (c *Codec) compile(config Config) error {
	root := &trieBuilder{}
	places, err := c.addPaths(root, config)
	faults := leavesOf(err)
	writes, edges, err := c.addWrites(root, config.Profile)
	faults = append(faults, leavesOf(err)...)
	copies, err := addCopies(root, config.Profile)
	faults = append(faults, leavesOf(err)...)
	for _, p := range config.Profile.Remove {
		b, err := root.add(p)
		if err != nil {
			faults = append(faults, fmt.Errorf("profile %s: remove: %w", config.Profile.Name, err))
			continue
		}
		b.owned = true
	}
	ownClients(places, writes)
	faults = append(faults, config.checkReads()...)
	asked, err := c.addRules(root, config.Rules)
	faults = append(faults, leavesOf(err)...)
	c.trie, err = root.build()
	for _, one := range leavesOf(err) {
		faults = append(faults, config.faultOfMember(one))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for p := range c.paths {
		for _, b := range places[p] {
			c.paths[p] = append(c.paths[p], b.node)
		}
	}
	c.placeCollected()
	c.placeRules(asked)
	c.edges = make([]edge, len(c.trie))
	for i, b := range writes {
		for _, from := range copies[i] {
			edges[i].copies = append(edges[i].copies, from.node)
		}
		if edges[i].copies != nil {
			edges[i].fields = fieldCopies << len(c.copies)
			c.copies = append(c.copies, b.node)
		}
		c.edges[b.node] = edges[i]
	}
	c.plan()
	return nil
}

// addWrites adds what is written, by the position of the write.
func (c *Codec) addWrites(root *trieBuilder, p Profile) ([]*trieBuilder, []edge, error) {
	writes := make([]*trieBuilder, len(p.Write))
	edges := make([]edge, len(p.Write))
	var faults []error
	for i, w := range p.Write {
		var err error
		if edges[i], err = c.edgeOf(w); err == nil {
			writes[i], err = root.add(w.Path)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("profile %s: write: %w", p.Name, err))
			continue
		}
		if slices.Contains(writes[:i], writes[i]) {
			faults = append(faults, &profileError{p.Name, "write", w.Path, w.Path + ": twice"})
		}
		writes[i].owned = true
	}
	return writes, edges, errors.Join(faults...)
}

// addCopies adds the places that values are copied from, by the position of the write.
func addCopies(root *trieBuilder, p Profile) ([][]*trieBuilder, error) {
	copies := make([][]*trieBuilder, len(p.Write))
	var faults []error
	count := 0
	for i, w := range p.Write {
		for _, text := range w.Copy {
			b, err := root.add(text)
			if err != nil {
				faults = append(faults, fmt.Errorf("profile %s: write: %s: copy: %w",
					p.Name, w.Path, err))
			}
			copies[i] = append(copies[i], b)
		}
		if len(w.Copy) > 0 {
			count++
		}
	}
	if count > copiesMax {
		faults = append(faults, &profileError{p.Name, "write", "",
			fmt.Sprintf("%d values are copied, at most %d", count, copiesMax)})
	}
	return copies, errors.Join(faults...)
}

// pathsInForce returns the profile's paths and those that replace them.
func (config *Config) pathsInForce() map[string]PathList {
	paths := map[string]PathList{}
	maps.Copy(paths, config.Profile.Paths)
	for name, list := range config.Paths {
		paths[name] = list
	}
	return paths
}

// addPaths adds what is read, the profile's paths or those that replace them.
func (c *Codec) addPaths(root *trieBuilder, config Config) ([pathCount][]*trieBuilder, error) {
	var places [pathCount][]*trieBuilder
	var faults []error
	paths := config.pathsInForce()
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		p := slices.Index(pathNames[:], name)
		if p < 0 {
			faults = append(faults, fmt.Errorf("paths.%s: want one of %s", name,
				strings.Join(pathNames[:], ", ")))
			continue
		}
		list := paths[name]
		c.noCampaign = c.noCampaign || path(p) == pathCampaign && len(list) == 0
		if path(p) == pathAnonymousID && len(list) > 0 && list[len(list)-1] == KeyPath {
			c.byKey, list = true, list[:len(list)-1]
		}
		if path(p) == pathContext {
			var err error
			c.context, err = contextOf(root, list)
			for _, one := range leavesOf(err) {
				subject, _, _ := strings.Cut(one.Error(), ": ")
				faults = append(faults, &profileError{"", "paths." + name, subject, one.Error()})
			}
			continue
		}
		for _, text := range list {
			_, err := splitPath(text)
			if text == KeyPath {
				err = fmt.Errorf("%s: only alone or last among those of anonymous_id", KeyPath)
			}
			if err == nil && c.reads(path(p)) {
				var b *trieBuilder
				b, err = root.add(text)
				places[p] = append(places[p], b)
			}
			if err != nil {
				faults = append(faults, &profileError{"", "paths." + name, text, err.Error()})
			}
		}
	}
	if len(faults) == 0 && !c.byKey && len(places[pathAnonymousID]) == 0 {
		faults = append(faults, errNoAnonymousID)
	}
	return places, errors.Join(faults...)
}

// reads reports whether anything is made of what is at a path: a scan has no time for the others.
func (c *Codec) reads(p path) bool {
	switch p {
	case pathEvent:
		return len(c.lifecycle) > 0 // nothing else depends on an event's name
	case pathSentAt:
		return slices.Contains(c.sources, TimeCorrected)
	}
	return true
}

// ownClients makes the members that clients' sessions are read from ours, but those inside of a
// member that is ours anyway: what no path of the profile removes must not stay to contradict.
func ownClients(places [pathCount][]*trieBuilder, writes []*trieBuilder) {
	for _, p := range [...]path{pathSessionID, pathSessionStart} {
		for _, b := range places[p] {
			within := func(w *trieBuilder) bool {
				return w != nil && strings.HasPrefix(b.path, w.path+".")
			}
			if !slices.ContainsFunc(writes, within) {
				b.owned = true
			}
		}
	}
}
