package session

// details is what a session collects, known beforehand.
type details struct{ referrer, campaign, context []byte }

func (d *details) Referrer() []byte { return d.referrer }
func (d *details) Campaign() []byte { return d.campaign }
func (d *details) Context() []byte  { return d.context }

// detailsOf returns those of an event, which has them from then on.
func detailsOf(e *Event) *details {
	if e.Details == nil {
		e.Details = &details{}
	}
	return e.Details.(*details)
}
