package registry

import (
	"io"
	"net/http"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

// A registry that compares texts has a schema that was printed for people as another one.
func TestASchemaIsFoundHoweverItIsWritten(t *testing.T) {
	const number = `{"type":"record","name":"N","fields":[{"name":"n","type":"long","default":9007199254740993}]}`
	for name, tt := range map[string]struct {
		there, wanted string
		want          Kind
		found         bool
	}{
		"ANewline": {there: person + "\n", wanted: person, found: true},
		"Printed": {there: `{
			"fields": [ { "type": "string", "name": "id" } ],
			"namespace": "acme", "name": "Person", "type": "record" }`, wanted: person, found: true},
		"AnotherNumber": {there: `{"type":"record","name":"N","fields":[
			{"name":"n","type":"long","default":9007199254740992}]}`, wanted: number, want: Unlisted},
		"AnotherSchema": {there: customer, wanted: person, want: Unlisted},
		"NoSubject":     {wanted: person, want: NotThere},
	} {
		t.Run(name, func(t *testing.T) {
			fake, cl := start(t)
			if tt.there != "" {
				fake.SeedSchema("out-value", 1, 60, sr.Schema{Schema: tt.there})
				fake.SeedSchema("out-value", 2, 61, sr.Schema{Schema: `"string"`})
			}
			fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return false
				}
				w.WriteHeader(http.StatusNotFound)
				io.WriteString(w, `{"error_code":40403}`) // no text is like another
				return true
			})
			id, err := cl.Find(t.Context(), "out-value", tt.wanted)
			if tt.found {
				if id != 60 || err != nil {
					t.Errorf("found %d, %v; want 60", id, err)
				}
			} else if err == nil || KindOf(err) != tt.want {
				t.Errorf("found %d, %v of kind %d; want kind %d", id, err, KindOf(err), tt.want)
			}
		})
	}
}
