package schemas

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed profiles/*.yaml
var profileFiles embed.FS

// Profile is what is particular to one kind of events, all of it data: where things are in an
// event, what is written and what is removed. The files under profiles show its form.
type Profile struct {
	Name string `yaml:"name"`

	// Config is a part of the configuration file: what the profile presets.
	Config yaml.Node `yaml:"config"`

	// Paths has the names of pathNames.
	Paths map[string]PathList `yaml:"paths"`

	// IDCharactersMin is how many characters the decimal text of an int64 id has at least, its
	// sign included.
	IDCharactersMin int `yaml:"id_characters_min"`

	Kinds     Kinds     `yaml:"kinds"`
	Mobile    Mobile    `yaml:"mobile"`
	Lifecycle Lifecycle `yaml:"lifecycle"`
	Write     []Write   `yaml:"write"`
	Remove    PathList  `yaml:"remove"`
	Visits    Visits    `yaml:"visits"`

	// Source is the YAML it was read from, to be shown.
	Source []byte `yaml:"-"`
}

// Kinds names the types of the events that sessions count separately.
type Kinds struct {
	Page   []string `yaml:"page"`
	Screen []string `yaml:"screen"`
	Track  []string `yaml:"track"`
}

// Mobile tells events of mobile platforms by a channel or by a library's name.
type Mobile struct {
	Channels  []string `yaml:"channels"`
	Libraries []string `yaml:"libraries"`
}

// Lifecycle tells by the path event, a name, when an app came to the foreground or went to the
// background.
type Lifecycle struct {
	Foreground []string `yaml:"foreground"`
	Background []string `yaml:"background"`
}

// Write is a session member. One of Value, Object and Copy is set.
type Write struct {
	Path   string   `yaml:"path"`
	Value  string   `yaml:"value"`  // a field: the member is its value, and is there when it is
	Object []string `yaml:"object"` // fields, or name=field: the member is an object of those

	// Copy is where the value is copied from: the first of these paths that holds a scalar which
	// names something. The member itself is usually among them. Where none does, it stays as it is.
	Copy PathList `yaml:"copy"`

	// Else is written, in a session, where Value or Copy have nothing. It is the JSON text of a
	// scalar; empty: none.
	Else string `yaml:"else"`

	// Always: the fields are written whatever output.fields says.
	Always bool `yaml:"always"`
}

// check says what is wrong with the form, but for paths and fields.
func (w Write) check() error {
	given := 0
	for _, is := range []bool{w.Value != "", len(w.Object) > 0, len(w.Copy) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errors.New("want one of value, object and copy")
	}
	if w.Else != "" && len(w.Object) > 0 {
		return errors.New("else: only beside value or copy")
	}
	return nil
}

// Visits is the form of the records about visits. Their members are always the same but for these.
type Visits struct {
	Started VisitNames `yaml:"started"`
	Ended   VisitNames `yaml:"ended"`

	// Members are further ones: fields of visitFieldNames, by the path they are written at.
	Members map[string]string `yaml:"members"`
}

// VisitNames are what a record about a visit says of itself. Type is "track" by default, Event
// "Visit Started" or "Visit Ended".
type VisitNames struct {
	Type  string `yaml:"type"`
	Event string `yaml:"event"`
}

// PathList is a list of paths. In YAML a single one may stand alone.
type PathList []string

// Profiles returns the names of the built-in profiles, sorted.
func Profiles() []string {
	entries, err := profileFiles.ReadDir("profiles")
	if err != nil {
		panic(fmt.Sprintf("the embedded profiles: %v", err))
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// LoadProfile returns a built-in profile.
func LoadProfile(name string) (Profile, error) {
	if !slices.Contains(Profiles(), name) {
		return Profile{}, fmt.Errorf("profile %q: want one of %s, or the path of a file",
			name, strings.Join(Profiles(), ", "))
	}
	text, err := profileFiles.ReadFile("profiles/" + name + ".yaml")
	if err != nil {
		return Profile{}, fmt.Errorf("profile %s: %w", name, err)
	}
	return ParseProfile(text)
}
