package events

import "math"

// customer is one visitor and what the library on their device remembers.
type customer struct {
	anonymousID [36]byte // UUID text
	userID      uint32   // 0: never says who they are
	known       bool     // identify was sent
	mobile      bool
	sendsIDs    bool
	device      uint8 // index into devices or phones
	locale      uint8
	campaign    uint8 // 0: came by themselves
	left        uint8 // events left of this visit
	page        uint8
	lastMs      int64
	nextMs      int64
	sessionID   int64
}

// event is what a customer did, enough to write it down later.
type event struct {
	atMs      int64
	messageID [2]uint64
	sessionID int64 // 0: the library sends none
	start     bool
	kind      eventType
	known     bool // the user id is sent
	campaign  uint8
	page      uint8
	from      uint8 // the page before
	product   uint16
}

type eventType uint8

const (
	typePage eventType = iota
	typeScreen
	typeTrack
	typeIdentify
)

const (
	visitEventsMax     = 40
	pauseMinMs         = 800
	pauseMeanMs        = 25_000   // between events of a visit
	pauseMaxMs         = 240_000  // below every timeout: a pause is no end
	clientTimeoutMs    = 1800_000 // the library's own, in a browser
	clientTimeoutAppMs = 300_000
	usersMax           = 1 << 30
	identifyShare      = 0.06
	knownShare         = 0.35 // customers that have an account
	trackShare         = 0.4
	campaignShare      = 0.3
)

func (g *Generator) newCustomer() customer {
	c := customer{
		mobile:   g.chance(g.config.MobileShare),
		sendsIDs: g.chance(g.config.ClientIDShare),
		device:   uint8(g.random.IntN(len(userAgents))),
		locale:   uint8(g.random.IntN(len(locales))),
	}
	appendUUID(c.anonymousID[:0], g.random.Uint64(), g.random.Uint64())
	if g.chance(knownShare) {
		c.userID = 1 + g.random.Uint32N(usersMax)
	}
	return c
}

// act lets a customer do the next thing at a time, and decides when they do
// the one after it.
func (g *Generator) act(c *customer, atMs int64) event {
	if c.left == 0 {
		g.arrive(c)
	}
	e := event{
		atMs: atMs, messageID: [2]uint64{g.random.Uint64(), g.random.Uint64()},
		kind: typePage, campaign: c.campaign, from: c.page,
		product: uint16(g.random.UintN(5000)),
	}
	if c.mobile {
		e.kind = typeScreen
	}
	switch dice := g.random.Float64(); {
	case c.userID != 0 && !c.known && dice < identifyShare:
		e.kind, c.known = typeIdentify, true
	case dice < identifyShare+trackShare && c.lastMs != 0:
		e.kind = typeTrack
	default:
		c.page = uint8(g.random.IntN(len(pages)))
	}
	e.page, e.known = c.page, c.known
	if c.sendsIDs {
		g.renew(c, &e)
	}
	c.lastMs = atMs
	c.left--
	if c.left > 0 {
		c.nextMs = atMs + min(pauseMaxMs, pauseMinMs+int64(g.random.ExpFloat64()*pauseMeanMs))
	} else {
		c.nextMs = atMs + pauseMaxMs + g.away()
	}
	return e
}

// arrive begins a visit.
func (g *Generator) arrive(c *customer) {
	c.left = 1 + uint8(min(visitEventsMax-1, g.random.ExpFloat64()*6))
	c.campaign = 0
	if g.chance(campaignShare) {
		c.campaign = uint8(1 + g.random.IntN(len(campaigns)))
	}
}

// renew does what a library does before each event: a new session id after its
// timeout, which is the time of the first event.
func (g *Generator) renew(c *customer, e *event) {
	timeout := int64(clientTimeoutMs)
	if c.mobile {
		timeout = clientTimeoutAppMs
	}
	if c.sessionID == 0 || e.atMs-c.lastMs > timeout {
		c.sessionID, e.start = e.atMs, true
	}
	e.sessionID = c.sessionID
}

// away is the time between two visits: a Pareto distribution, cut at the tail.
func (g *Generator) away() int64 {
	least := float64(g.config.MeanGapMs) * (paretoShape - 1) / paretoShape
	gap := least / math.Pow(1-g.random.Float64(), 1/paretoShape)
	return int64(min(gap, gapTail*float64(g.config.MeanGapMs)))
}
