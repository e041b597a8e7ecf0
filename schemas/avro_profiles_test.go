package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"sessionizer/session"
)

// Events that come as Avro must give the sessions that they give as JSON, and get the same stamps.
// Each profile has a schema as its users would write one, and events with more and less in them.

// A text of a schema: nullable is a field that may be left out.
func nullableField(name, typ string) string {
	return fmt.Sprintf(`{"name":%q,"type":["null",%s],"default":null}`, name, typ)
}

func nullableFields(typ string, names ...string) string {
	var list []string
	for _, name := range names {
		list = append(list, nullableField(name, typ))
	}
	return strings.Join(list, ",")
}

func recordOf(name, fields string) string {
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, name, fields)
}

// segmentSchema is that of events of Segment's Spec, as most warehouses have them.
func segmentSchema(session string) string {
	text := `"string"`
	context := strings.Join([]string{
		nullableFields(text, "ip", "locale", "userAgent"),
		nullableField("library", recordOf("Library", nullableFields(text, "name", "version"))),
		nullableField("page", recordOf("Page", nullableFields(text, "url", "path", "referrer", "title"))),
		nullableField("campaign", `{"type":"map","values":"string"}`),
		nullableField("device", recordOf("Device", nullableFields(text, "type", "model"))),
		nullableField("os", recordOf("OS", nullableFields(text, "name", "version"))),
		nullableField("app", recordOf("App", nullableFields(text, "name", "version"))),
	}, ",")
	if session != "" {
		context += "," + session
	}
	return `{"type":"record","name":"Event","namespace":"com.example.events","doc":"An event.","fields":[` +
		strings.Join([]string{
			`{"name":"anonymousId","type":"string","doc":"Who it is."}`,
			nullableFields(text, "userId", "messageId", "event", "name", "channel"),
			`{"name":"type","type":{"type":"enum","name":"Kind","symbols":["track","page","screen","identify","group","alias"]}}`,
			nullableField("timestamp", `{"type":"long","logicalType":"timestamp-millis"}`),
			nullableFields(text, "originalTimestamp", "sentAt", "receivedAt"),
			nullableField("context", recordOf("Context", context)),
			nullableField("properties", `{"type":"map","values":["null","string","double","boolean"]}`),
			`{"name":"version","type":"int","default":1}`,
		}, ",") + `]}`
}

func profileSchemas() map[string]string {
	text, long := `"string"`, `"long"`
	entity := recordOf("ClientSession", strings.Join([]string{
		`{"name":"userId","type":"string"}`, `{"name":"sessionId","type":"string"}`,
		`{"name":"sessionIndex","type":"int"}`, nullableField("eventIndex", `"int"`),
		nullableField("previousSessionId", text), nullableField("firstEventId", text),
		nullableField("firstEventTimestamp", text),
		`{"name":"storageMechanism","type":{"type":"enum","name":"Storage","symbols":["SQLITE","COOKIE_1","LOCAL_STORAGE"]}}`,
	}, ","))
	return map[string]string{
		"segment": segmentSchema(""),
		"krenalis": segmentSchema(nullableFields(long, "sessionId") + "," +
			nullableFields(`"boolean"`, "sessionStart")),
		"rudderstack": segmentSchema(nullableFields(long, "sessionId") + "," +
			nullableFields(`"boolean"`, "sessionStart")),
		"snowplow": recordOf("Enriched", strings.Join([]string{
			nullableFields(text, "app_id", "platform", "event", "event_name", "event_id", "user_id",
				"domain_userid", "domain_sessionid", "page_url", "page_referrer", "os_name",
				"dvce_created_tstamp", "dvce_sent_tstamp", "derived_tstamp", "collector_tstamp"),
			nullableField("domain_sessionidx", `"int"`),
			nullableField("contexts_com_snowplowanalytics_snowplow_client_session_1",
				`{"type":"array","items":`+entity+`}`),
		}, ",")),
		"tracardi": recordOf("TracardiEvent", strings.Join([]string{
			`{"name":"type","type":"string"}`, nullableFields(text, "id"),
			nullableField("profile", recordOf("Profile", nullableFields(text, "id"))),
			nullableField("session", recordOf("TracardiSession", nullableFields(text, "id", "kind"))),
			nullableField("timestamp", `{"type":"long","logicalType":"timestamp-micros"}`),
			nullableField("properties", `{"type":"map","values":"string"}`),
			nullableField("context", recordOf("Context", nullableField("page", recordOf("Page",
				nullableFields(text, "url")))+","+nullableField("utm", `{"type":"map","values":"string"}`))),
		}, ",")),
	}
}

// asAvro turns the JSON of an event into Avro: times that the schema has as numbers are numbers.
func asAvro(t testing.TB, codec *goavro.Codec, event string) []byte {
	t.Helper()
	native, rest, err := codec.NativeFromTextual([]byte(event))
	if err != nil || len(rest) > 0 {
		t.Fatalf("%s: %v, %d bytes behind it", event, err, len(rest))
	}
	value, err := codec.BinaryFromNative(nil, native)
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	return value
}

func standardCodec(t testing.TB, schema string) *goavro.Codec {
	t.Helper()
	codec, err := goavro.NewCodecForStandardJSONFull(schema)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return codec
}

const (
	entityName = "contexts_com_snowplowanalytics_snowplow_client_session_1"
	uuidA      = "bca0fa0e-853c-41cf-9cc4-15048f6f0ff5"
	uuidB      = "6f1c2a4e-0000-4000-8000-000000000001"
)

func profileEvents() map[string][]string {
	segment := []string{
		`{"anonymousId":"a","type":"track","timestamp":1734260905123}`,
		`{"anonymousId":"a\"b","userId":"ü","messageId":"m-1","type":"page","timestamp":1734260905123,` +
			`"context":{"ip":"::1","library":{"name":"analytics-ios"},"page":{"url":"https://x.example/?utm_source=a&gclid=7",` +
			`"referrer":"https://r.example/\"q\""},"locale":"it-IT","campaign":{"source":"mail","utm_medium":"\u0001x"},` +
			`"device":{"type":"phone","model":"\\x"},"os":{"name":"iOS","version":"17"}},"properties":{"price":12.5,"name":"A","ok":true,"no":null}}`,
		`{"anonymousId":"a","type":"screen","name":"Home","originalTimestamp":"2024-12-15T11:08:25.123Z","receivedAt":"2024-12-15T11:08:26Z","context":{}}`,
		`{"anonymousId":"a","type":"track","event":"Application Opened","channel":"mobile","timestamp":99999999999999}`,
		`{"anonymousId":" ","type":"track","timestamp":1734260905123}`,
	}
	with := func(session string) []string {
		more := append([]string{}, segment...)
		for _, one := range segment[1:3] {
			more = append(more, strings.Replace(one, `"context":{`, `"context":{`+session+`,`, 1))
		}
		for i := range more {
			more[i] = strings.ReplaceAll(more[i], ",}", "}")
		}
		return more
	}
	return map[string][]string{
		"segment":     segment,
		"krenalis":    with(`"sessionId":1734260905123,"sessionStart":true`),
		"rudderstack": with(`"sessionId":1734260905123,"sessionStart":true`),
		"snowplow": {
			`{"domain_userid":"u","domain_sessionid":"` + uuidA + `","domain_sessionidx":3,"event":"page_view",` +
				`"event_name":"page_view","event_id":"` + uuidB + `","derived_tstamp":"2024-12-15T11:08:25.123Z","page_url":"https://x/"}`,
			`{"platform":"mob","event_name":"application_background","derived_tstamp":"2024-12-15T11:08:25.123Z","` + entityName +
				`":[{"userId":"U","sessionId":"` + strings.ToUpper(uuidA) + `","sessionIndex":3,"storageMechanism":"SQLITE"},` +
				`{"userId":"V","sessionId":"` + uuidB + `","sessionIndex":4,"eventIndex":9,"previousSessionId":"p","storageMechanism":"COOKIE_1"}]}`,
			`{"domain_userid":"u","derived_tstamp":"2024-12-15T11:08:25.123Z","` + entityName + `":[]}`,
			`{"domain_userid":"u","derived_tstamp":"2024-12-15T11:08:25.123Z"}`,
		},
		"tracardi": {
			`{"type":"page-view","id":"e-1","profile":{"id":"p"},"session":{"id":"s-1","kind":"web"},"timestamp":1734260905123000,` +
				`"context":{"page":{"url":"https://x/"},"utm":{"source":"a"}}}`,
			`{"type":"page-view","profile":{"id":"p"},"timestamp":1734260905123999}`,
			`{"type":"x","profile":{"id":"p"},"session":{"id":"@debug-1"},"timestamp":1734260905123000}`,
		},
	}
}

// idOf is an id of a profile's type.
func idOf(c *Codec) (id, previous session.ID) {
	if c.idType == session.IDInt64 {
		return session.ID{Int: 1734260905123}, session.ID{Int: 1734160905123}
	}
	return session.ID{Text: []byte(uuidA)}, session.ID{Text: []byte(uuidB)}
}

var profileIDTypes = map[string]session.IDType{
	"krenalis": session.IDInt64, "rudderstack": session.IDInt64,
	"segment": session.IDInt64, "snowplow": session.IDUUID, "tracardi": session.IDString}

// avroCodecs are two codecs of a profile, one for JSON and one for Avro of the schema.
func avroCodecs(t testing.TB, profile, schema, fields string, rules []Match,
) (*Codec, *Codec, *AvroProgram) {
	t.Helper()
	p, err := LoadProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Profile: p, IDType: profileIDTypes[profile], Fields: []string{fields},
		FutureTolerance: 60_000, Rules: rules}
	asJSON := newCodec(t, config)
	config.Format, config.Book = FormatAvro, NewBook()
	asAvro := newCodec(t, config)
	program, err := asAvro.CompileAvro(schema)
	if err != nil {
		t.Fatal(err)
	}
	config.Book.Accept(7, program, 9)
	return asJSON, asAvro, program
}

func TestAvroEventsAreThoseOfJSON(t *testing.T) {
	rules := []Match{{Conditions: []Condition{
		{Path: "properties.price", Test: TestCompare, Compare: []Comparison{{OpGreater, "12"}}}}},
		{Conditions: []Condition{{Path: "context.page.referrer", Test: TestPrefix, Text: `https://r.example/"`}}},
		{Conditions: []Condition{{Path: "type", Test: TestGlob, Text: "page-*"}}}}
	for profile, schema := range profileSchemas() {
		events := profileEvents()[profile]
		for _, fields := range []string{"minimal", "standard", "full"} {
			asJSON, asAvroCodec, program := avroCodecs(t, profile, schema, fields, rules)
			in, out := standardCodec(t, schema), standardCodec(t, program.Output())
			id, previous := idOf(asJSON)
			stamps := []*session.Stamp{stampOf(id, previous, true), stampOf(id, previous, false),
				{Status: session.NoSession}, {Status: session.Unattached}}
			for _, event := range events {
				value := append(appendFrame(nil, 7), asAvro(t, in, event)...)
				var j, a Scanned
				jBad := asJSON.Scan([]byte(event), benchRecord, &j)
				aBad := asAvroCodec.Scan(value, benchRecord, &a)
				if fmt.Sprint(jBad) != fmt.Sprint(aBad) {
					t.Errorf("%s: %s: as JSON %v, as Avro %v", profile, event, jBad, aBad)
				}
				if jBad != nil || aBad != nil {
					continue
				}
				if x, y := eventText(&j), eventText(&a); x != y || j.Notes != a.Notes {
					t.Errorf("%s: %s:\nJSON %s\nAvro %s", profile, event, x, y)
				}
				for _, st := range stamps {
					want := asJSON.AppendStamped(nil, []byte(event), &j, st)
					got := asAvroCodec.AppendStamped(nil, value, &a, st)
					if frame, _ := frameID(got); frame != 9 {
						t.Fatalf("%s: the output's schema is %d", profile, frame)
					}
					sameStamped(t, out, profile, got[frameBytes:], want)
				}
			}
		}
	}
}

// sameStamped compares an event that was written as Avro with one as JSON, but for null members.
func sameStamped(t *testing.T, out *goavro.Codec, name string, got, want []byte) {
	t.Helper()
	native, rest, err := out.NativeFromBinary(got)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%s: goavro reads %x: %v, %d bytes behind it", name, got, err, len(rest))
	}
	text, err := out.TextualFromNative(nil, native)
	if err != nil {
		t.Fatal(err)
	}
	a, b := withoutNulls(decoded(t, text)), withoutNulls(decoded(t, want))
	m, ok := b.(map[string]any)
	if ok && m["version"] == nil && m["anonymousId"] != nil {
		m["version"] = json.Number("1") // the default
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\nAvro %v\nJSON %v", name, a, b)
	}
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// withoutNulls takes the members out that say nothing; a startedAt is a number.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if v[name] = withoutNulls(value); v[name] == nil {
				delete(v, name)
			}
			if text, ok := value.(string); ok && name == "startedAt" {
				at, _ := session.ParseTime([]byte(text))
				v[name] = json.Number(fmt.Sprint(int64(at)))
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
