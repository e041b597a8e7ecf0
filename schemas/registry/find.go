package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/sr"
)

// versionsMax bounds the versions of a subject that a schema is compared with, the latest first.
const versionsMax = 256

// Find is Lookup that does not hang on how a schema is written. Some registries compare texts: one
// that people have registered may end in a newline, or may have been printed for them to read. The
// subject not being there is of kind NotThere, the schema of kind Unlisted.
func (c *Client) Find(ctx context.Context, subject, text string) (uint32, error) {
	id, err := c.Lookup(ctx, subject, text)
	if err == nil || KindOf(err) != NotThere {
		return id, err
	}
	what := "look up a schema under the subject " + subject
	wanted, bad := parse(text)
	if bad != nil {
		return 0, &Error{Kind: Unfit, What: what, Cause: bad}
	}
	var versions []int
	missing := c.ask(ctx, what, func(ctx context.Context, cl *sr.Client) (err error) {
		versions, err = cl.SubjectVersions(ctx, subject)
		return err
	})
	if missing != nil {
		return 0, missing
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	for _, version := range versions[:min(len(versions), versionsMax)] {
		id, same, err := c.isVersion(ctx, what, subject, version, wanted)
		if same || err != nil && KindOf(err) != NotThere { // it may be deleted meanwhile
			return id, err
		}
	}
	return 0, unlisted(err)
}

// isVersion compares a schema with a version of a subject, whose id it returns.
func (c *Client) isVersion(
	ctx context.Context, what, subject string, version int, wanted any,
) (uint32, bool, error) {
	var there sr.SubjectSchema
	err := c.ask(ctx, what, func(ctx context.Context, cl *sr.Client) error {
		there = sr.SubjectSchema{}
		path := fmt.Sprintf("/subjects/%s/versions/%d", url.PathEscape(subject), version)
		return cl.Do(ctx, http.MethodGet, path, nil, &there)
	})
	if err != nil {
		return 0, false, err
	}
	tree, err := parse(there.Schema.Schema)
	if err != nil || !reflect.DeepEqual(tree, wanted) {
		return 0, false, nil
	}
	return uint32(there.ID), true, fitID(what, there.ID)
}

// unlisted is the answer that a schema is not there, where its subject is.
func unlisted(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Kind = Unlisted
	}
	return err
}
