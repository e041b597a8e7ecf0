package registry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// refusing has a registry refuse so many registrations; before each, meanwhile is called. It
// counts what it is asked for.
func refusing(fake *srfake.Registry, times, status int, meanwhile func(int)) (asked *int) {
	asked = new(int)
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/versions") {
			return false
		}
		if *asked++; *asked > times {
			return false
		}
		meanwhile(*asked)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error_code":%d,"message":"An artifact with ID 'out-value' already exists."}`,
			status)
		return true
	})
	return asked
}

// Another process registers under the same new subject.
func TestARefusalThatIsARaceIsNone(t *testing.T) {
	for name, theirs := range map[string]string{"TheSame": person, "Another": customer} {
		t.Run(name, func(t *testing.T) {
			fake, l := pupil(t, "out-value", true)
			asked := refusing(fake, 2, 409, func(n int) {
				if n == 2 {
					fake.SeedSchema("out-value", 1, 500, sr.Schema{Schema: theirs})
				}
			})
			id, err := l.Enroll(t.Context(), "out-value", person, "x")
			if err != nil || (id == 500) != (theirs == person) {
				t.Fatalf("registered as %d, %v", id, err)
			}
			if want := map[string]int{"TheSame": 2, "Another": 3}[name]; *asked != want {
				t.Errorf("tried %d times, want %d", *asked, want)
			}
			found, err := l.Client.Lookup(t.Context(), "out-value", person)
			if err != nil || found != id {
				t.Errorf("it is there as %d, %v; want %d", found, err, id)
			}
		})
	}
}

func TestARefusalThatStaysIsOne(t *testing.T) {
	for _, status := range []int{409, 422} {
		fake, l := pupil(t, "out-value", true)
		asked := refusing(fake, 100, status, func(int) {})
		_, err := l.Enroll(t.Context(), "out-value", person, "x")
		if KindOf(err) != Declined || !strings.Contains(err.Error(), "already exists") ||
			*asked != triesMax {
			t.Errorf("%d: %v of kind %d after %d tries, want Declined after %d", status, err, KindOf(err),
				*asked, triesMax)
		}
	}
}

// What cannot be looked up is not refused: it may be there.
func TestARefusalThatCannotBeLookedUpIsNotSure(t *testing.T) {
	fake, l := pupil(t, "out-value", true)
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		status := http.StatusServiceUnavailable
		if strings.HasSuffix(r.URL.Path, "/versions") {
			status = http.StatusConflict
		}
		w.WriteHeader(status)
		io.WriteString(w, `{}`)
		return true
	})
	if _, err := l.Enroll(t.Context(), "out-value", person, "x"); KindOf(err) != Unreachable {
		t.Errorf("%v of kind %d, want Unreachable", err, KindOf(err))
	}
}
