//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sessionizer/internal/kafka"
)

// ownRegistry starts a registry that no other test has to do with.
func ownRegistry(t *testing.T) *kafka.Registry {
	t.Helper()
	dir, err := kafka.Dir()
	if err != nil {
		t.Fatal(err)
	}
	jars, err := kafka.RegistryJars(t.Context(), dir, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	r, err := kafka.NewRegistry(kafka.RegistryOptions{
		Dir: filepath.Join(t.TempDir(), "registry"), Jars: jars, Port: lowPorts(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Errorf("end the registry: %v", err)
		}
		if t.Failed() {
			text, err := os.ReadFile(r.LogFile())
			t.Logf("the registry's output (%v):\n%s", err, text)
		}
	})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// register registers an Avro schema under a subject and returns its id.
func register(t *testing.T, r *kafka.Registry, subject, schema string) uint32 {
	t.Helper()
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		ID uint32 `json:"id"`
	}
	askRegistry(t, http.MethodPost, r.URL()+"/subjects/"+subject+"/versions", body, &answer)
	if answer.ID == 0 {
		t.Fatalf("register %s: no id", subject)
	}
	return answer.ID
}

// schemaOf returns the schema that a registry has under an id.
func schemaOf(t *testing.T, r *kafka.Registry, id uint32) string {
	t.Helper()
	var answer struct {
		Schema string `json:"schema"`
	}
	askRegistry(t, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", r.URL(), id), nil, &answer)
	return answer.Schema
}

// subjects returns what a registry has.
func subjects(t *testing.T, r *kafka.Registry) []string {
	t.Helper()
	var names []string
	askRegistry(t, http.MethodGet, r.URL()+"/subjects", nil, &names)
	return names
}

func askRegistry(t *testing.T, method, url string, body []byte, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(ask(t), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s %s: %v in %s", method, url, err, text)
	}
}

// What the tests of an outage rest on: the registry of this package comes back on its port with the
// same schemas under the same ids, whatever way it went.
func TestRegistry_KeepsItsSchemasOverAKillAndAStop(t *testing.T) {
	t.Parallel()
	r := ownRegistry(t)
	url := r.URL()
	schemas := map[uint32]string{}
	for i := range 3 {
		schema := fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, i)
		schemas[register(t, r, fmt.Sprintf("subject-%d", i), schema)] = schema
	}
	if len(schemas) != 3 {
		t.Fatalf("three schemas have the ids of %d", len(schemas))
	}
	for _, end := range []func() error{r.Kill, r.Stop} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.Get(url + "/subjects"); err == nil {
			resp.Body.Close()
			t.Fatal("it still answers")
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, want := range schemas {
			if got := schemaOf(t, r, id); got != want {
				t.Errorf("schema %d is %s, want %s", id, got, want)
			}
		}
		if got := subjects(t, r); len(got) != 3 || !slices.Contains(got, "subject-2") {
			t.Errorf("subjects %v", got)
		}
	}
}
