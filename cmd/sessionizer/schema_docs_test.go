package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sessionizer/schemas"
)

// docs/schemas.md is made from the schemas, and from what the program writes.

const schemasPage = repository + "/docs/schemas.md"

// TestSchemasPage compares the page with the schemas; -rewrite writes it anew.
func TestSchemasPage(t *testing.T) {
	page := schemasPageText(t)
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(schemasPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemasPage)
	if err != nil || !bytes.Equal(got, page) {
		t.Fatalf("%s is not what the schemas give (%v): run `make docs`", schemasPage, err)
	}
}

func schemasPageText(t *testing.T) []byte {
	t.Helper()
	head, err := os.ReadFile("testdata/docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.NewBuffer(head)
	told := map[string]bool{}
	for _, s := range schemas.Texts() {
		if told[s.Avro] {
			continue
		}
		told[s.Avro] = true
		var record avroRecord
		if err := json.Unmarshal([]byte(s.Avro), &record); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, other := range schemas.Texts() {
			if other.Avro == s.Avro {
				names = append(names, other.Name)
			}
		}
		fmt.Fprintf(page, "\n## %s\n\n%s\n\n| member | Avro | is |\n|---|---|---|\n",
			strings.Join(names, ", "), record.Doc)
		record.rows(page, "")
	}
	fmt.Fprintf(page, "\n## An example\n\nThe Visit Ended of the event that the README shows:\n\n"+
		"```json\n%s```\n", visitOfTheReadme(t))
	return page.Bytes()
}

// avroRecord is what the page tells of a record.
type avroRecord struct {
	Name, Doc string
	Fields    []struct {
		Name, Doc string
		Type      json.RawMessage
	}
}

// rows writes a row for each field, and for those of records in it.
func (r *avroRecord) rows(page *bytes.Buffer, prefix string) {
	for _, f := range r.Fields {
		kind, inner := kindOfField(f.Type)
		doc := strings.NewReplacer("|", `\|`, "*", `\*`).Replace(f.Doc)
		fmt.Fprintf(page, "| `%s%s` | %s | %s |\n", prefix, f.Name, kind, doc)
		if inner != nil {
			inner.rows(page, prefix+f.Name+".")
		}
	}
}

// kindOfField is a type in words, and the record in it, if there is one that is told.
func kindOfField(text json.RawMessage) (kind string, inner *avroRecord) {
	var branches []json.RawMessage
	if json.Unmarshal(text, &branches) == nil {
		var words []string
		for _, branch := range branches {
			word, in := kindOfField(branch)
			words = append(words, word)
			if in != nil {
				inner = in
			}
		}
		if i := slices.Index(words, "null"); i >= 0 { // it goes last
			words = append(slices.Delete(words, i, i+1), "null")
		}
		return strings.Join(words, " or "), inner
	}
	if json.Unmarshal(text, &kind) == nil {
		return kind, nil
	}
	var complexType struct {
		Type, LogicalType string
		Items, Values     json.RawMessage
	}
	if err := json.Unmarshal(text, &complexType); err != nil {
		return err.Error(), nil
	}
	switch complexType.Type {
	case "record":
		inner = &avroRecord{}
		if err := json.Unmarshal(text, inner); err != nil {
			return err.Error(), nil
		}
		return inner.Name, inner
	case "array":
		kind, inner = kindOfField(complexType.Items)
		return "array of " + kind, inner
	case "map":
		kind, _ = kindOfField(complexType.Values)
		return "map of " + kind, nil
	}
	return complexType.LogicalType, nil
}

// visitOfTheReadme is what stamp writes of the event there.
func visitOfTheReadme(t *testing.T) string {
	t.Helper()
	event := blocks(read(t, repository, "README.md"))[0].text
	dir := t.TempDir()
	r := sessionizer(t, event, "stamp", "--visits", filepath.Join(dir, "visits"))
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(read(t, dir, "visits")), "", "  "); err != nil {
		t.Fatal(err)
	}
	return indented.String()
}
