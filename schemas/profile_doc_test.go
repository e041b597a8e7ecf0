package schemas

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sessionizer/session"
)

// The document about profiles is where people begin their own: its example must be one, and do what
// it says.

func TestTheDocumentedProfileDoesWhatItSays(t *testing.T) {
	text, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	var profiles, events []string
	for i, block := range strings.Split(string(text), "\n```") {
		language, block, _ := strings.Cut(block, "\n")
		switch {
		case i%2 == 0: // between two blocks
		case language == "yml":
			profiles = append(profiles, block)
		case language == "json":
			events = append(events, block)
		}
	}
	if len(profiles) != 1 || len(events) != 2 {
		t.Fatalf("%d profiles, %d events", len(profiles), len(events))
	}
	p, err := ParseProfile([]byte(profiles[0]))
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, Config{Profile: p, IDType: session.IDString})
	got := spliced(t, c, events[0], &session.Stamp{ID: session.ID{Text: []byte("v7")}, Index: 1,
		EventIndex: 1, Start: true, StartedAt: 1734260905000})
	if got != events[1] {
		t.Errorf(" got %s\nwant %s", got, events[1])
	}
}

func TestTheDocumentNamesEveryKeyAndProfile(t *testing.T) {
	text, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Profiles() {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("the table lacks %s", name)
		}
	}
	// A key that does not exist makes a fault that tells those which do.
	for key, document := range map[string]string{"": "x: 1", "write[0].": "write: [{x: 1}]",
		"visits.": "visits: {x: 1}", "kinds.": "kinds: {x: 1}", "mobile.": "mobile: {x: 1}",
		"lifecycle.": "lifecycle: {x: 1}"} {
		_, err := ParseProfile([]byte(document))
		faults, ok := err.(ProfileFaults) //nolint:errorlint // it is documented to be one
		i := slices.IndexFunc(faults, func(f ProfileFault) bool { return f.Key == key+"x" })
		if !ok || i < 0 {
			t.Fatalf("%s: %v", document, err)
		}
		for _, want := range faults[i].Want {
			if !strings.Contains(string(text), want+":") {
				t.Errorf("the document lacks %s%s", key, want)
			}
		}
	}
}
