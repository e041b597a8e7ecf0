package schemas

import (
	"errors"
	"strings"
	"testing"
)

// parseFaults returns what is wrong with a profile, a line each.
func parseFaults(t *testing.T, text string) string {
	t.Helper()
	_, err := ParseProfile([]byte(text))
	var faults ProfileFaults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var lines []string
	for i := range faults {
		lines = append(lines, faults[i].Error())
	}
	return strings.Join(lines, "\n")
}

func TestParseProfileTellsAllThatCannotBeWrittenTogether(t *testing.T) {
	for text, want := range map[string]string{
		"name: bad\npaths: {anonymous_id: visitor.id, timestamp: at}\nwrite: [{path: x, object: [id]}, " +
			"{path: x.y, value: id}, {path: a.0, value: id}, {path: a.b, value: index}]": "" +
			"line 3: write[1].path: x.y: lies inside of session member x\n" +
			"line 3: write[2].path: a.0: of an array only what is inside of the first element can be ours",
		"name: bad\nwrite:\n- {path: a.0.x, value: id}\n- {path: a.b, value: index}\n- path: c\n" +
			"  value: id\n- value: id\n  path: c\nremove:\n- d\n- d.e\n- f.2.g\n": "" +
			"line 4: write[1].path: a.b: a member beside an element of an array\n" +
			"line 8: write[3].path: c: twice\n" +
			"line 11: remove[1]: d.e: lies inside of session member d\n" +
			"line 12: remove[2]: f.2.g: of an array only what is inside of the first element can be ours",
		"name: bad\npaths:\n  user_id: [u, $key]\n  session_id: s.1.id\n  context: [a, a.b]\n": "" +
			"line 3: paths.user_id[1]: $key: only alone or last among those of anonymous_id\n" +
			"line 4: paths.session_id: s.1.id: of an array only what is inside of the first element " +
			"can be ours\nline 5: paths.context[1]: a.b: inside of a",
		"name: bad\nvisits:\n  members:\n    a.b: id\n    a: uuid\n": "" +
			"line 5: visits.members.a: a: lies around another",
		"name: good\npaths: {user_id: u}\nwrite: [{path: x, value: id}]\n": "",
	} {
		if got := parseFaults(t, text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestWhatIsReadIsNeitherOverwrittenNorRemoved(t *testing.T) {
	const head = "name: x\npaths:\n  anonymous_id: [who, v.s]\n  user_id: [u.id, $top]\n  timestamp: at\n" +
		"  session_id: v.s\n  context: [os=o.s]\n"
	for text, want := range map[string]string{
		"write: [{path: at, value: startedAt}]": "line 8: write[0].path: at is read as timestamp: it " +
			"would be overwritten",
		"write: [{path: u, object: [id]}]": "line 8: write[0].path: u.id is read as user_id: it would be " +
			"overwritten with u",
		"remove: [y, who, o.s]": "line 8: remove[1]: who is read as anonymous_id: it would be removed\n" +
			"line 8: remove[2]: o.s is read as context: it would be removed",
		// The key of who has no other is the client's session id, and stays it.
		"write: [{path: v.s, value: id}]": "",
		"write: [{path: v.s, value: index}]": "line 8: write[0].path: v.s is read as anonymous_id: it " +
			"would be overwritten",
		"remove: [v.s]": "line 8: remove[0]: v.s is read as anonymous_id: it would be removed",
		// A copy of what is preferred anyway is the same value.
		"write: [{path: u.id, copy: [u.id]}]":             "",
		"write: [{path: $top, copy: [u.id, $top]}]":       "",
		"write: [{path: $top, copy: u.id, else: null}]":   "",
		"write: [{path: $top, copy: u.id, else: nobody}]": "line 8: write[0].path: $top is read as user_id: it would be overwritten",
		"write: [{path: $top, copy: [$top, u.id]}]":       "line 8: write[0].path: $top is read as user_id: it would be overwritten",
		"write: [{path: $top, copy: other}]":              "line 8: write[0].path: $top is read as user_id: it would be overwritten",
	} {
		if got := parseFaults(t, head+text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestPathsOfTheConfigurationMayReadWhatIsWritten(t *testing.T) {
	for _, name := range Profiles() {
		p, err := LoadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := p.Write[len(p.Write)-1].Path
		_, err = NewCodec(Config{Profile: p, Paths: map[string][]string{"message_id": {path}}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
