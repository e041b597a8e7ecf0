package config

import (
	"reflect"
	"strings"
	"testing"
)

// Where the schemas of Avro come from is said by keys of three sections: what contradicts is found
// before an event is read.

func TestLoad_TheRegistryAndItsPassword(t *testing.T) {
	w := inFile(`input: {format: avro}
registry:
  url: https://one:8081/base,https://two:8081
  username: ana
  password_file: /secret
  tls: {server_name: registry}
`)
	w.files["/secret"] = "s3cret\n"
	c, warnings, err := w.load()
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	want := []string{"https://one:8081/base", "https://two:8081"}
	if r := c.Registry; !reflect.DeepEqual(r.URLs(), want) || r.Username != "ana" || !r.AutoRegister ||
		r.Password.Reveal() != "s3cret" || r.TLS.Client().ServerName != "registry" {
		t.Errorf("%+v", r)
	}
	if !c.Framed() {
		t.Error("events are not framed")
	}
	w = inFile("registry: {url: 'http://r:8081', auto_register: false, username: ana}\n")
	w.environ = []string{"SESSIONIZER_REGISTRY_PASSWORD=p"}
	c, warnings, err = w.load()
	if err != nil || !strings.Contains(warnings.Error(), "in the clear") {
		t.Fatalf("%v, %v", err, warnings)
	}
	r := c.Registry
	if r.TLS.Client() != nil || r.AutoRegister || r.Password.Reveal() != "p" || !c.Framed() {
		t.Errorf("%+v", r)
	}
}

func TestLoad_AvroWithoutARegistry(t *testing.T) {
	w := inFile("input: {format: avro, schema: event.avsc}\nvisits: {format: avro}\n")
	w.files["event.avsc"] = `{"type":"record","name":"Event","fields":[
		{"name":"anonymousId","type":"string"}]}`
	c, warnings, err := w.load()
	if err != nil || len(warnings) > 0 || !c.MayBeAvro() || c.Framed() {
		t.Fatalf("%v, %v, %+v", err, warnings, c)
	}
	w.files["sessionizer.yaml"] += "dead_letters:\n  on:\n    no_time: pass\n    limit: fail\n"
	_, _, err = w.load()
	const want = "sessionizer.yaml:5: dead_letters.on.no_time: an event that passes has the schema of " +
		"input.schema, not that of the output, and nothing says so: want dead_letter or fail, or registry.url"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	c, _, err = world{}.load()
	if err != nil || c.MayBeAvro() || c.Framed() {
		t.Fatalf("%v, without a registry all events are JSON: %+v", err, c)
	}
}

func TestLoad_FaultsOfTheRegistry(t *testing.T) {
	const form = "want http://host:port or https://host:port, several behind commas, each with its " +
		"path if it has one"
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"NoSchema", "input:\n  format: avro\n", []string{
			`sessionizer.yaml:2: input.format: Avro events need their schema: want registry.url, or ` +
				`input.schema where each value is Avro and nothing else`}},
		{"SchemaOfJSON", "input:\n  schema: a.avsc\n", []string{
			`sessionizer.yaml:2: input.schema: has no effect without input.format: avro`}},
		{"SchemaThatIsGone", "input:\n  format: avro\n  schema: gone.avsc\n", []string{
			`sessionizer.yaml:3: input.schema: read gone.avsc: file does not exist`}},
		{"EmptySchema", "input:\n  format: avro\n  schema: empty.avsc\n", []string{
			`sessionizer.yaml:3: input.schema: empty.avsc is empty`}},
		{"UnfitSchema", "input:\n  format: avro\n  schema: text.avsc\n", []string{
			`sessionizer.yaml:3: input.schema: text.avsc: schema: an event is a record, not a string`}},
		{"NoURL", "registry:\n  username: u\n  auto_register: false\n  tls: {enabled: true}\n", []string{
			`sessionizer.yaml:2: registry.username: has no effect without registry.url`,
			`sessionizer.yaml:3: registry.auto_register: has no effect without registry.url`,
			`sessionizer.yaml:4: registry.tls.enabled: has no effect without registry.url`}},
		{"NoScheme", "registry:\n  url: registry:8081\n", []string{
			`sessionizer.yaml:2: registry.url: ` + form + `, found "registry:8081"`}},
		{"NoHost", "registry:\n  url: 'http://a:1,http://'\n", []string{
			`sessionizer.yaml:2: registry.url: ` + form + `, found "http://"`}},
		{"NoURLAtAll", "registry:\n  url: 'http://a:b'\n", []string{
			`sessionizer.yaml:2: registry.url: ` + form + `, found what is no URL`}},
		{"Mixed", "registry:\n  url: http://a,https://b\n", []string{
			`sessionizer.yaml:2: registry.url: http:// and https:// are mixed: want the same for all addresses`}},
		{"PasswordInURL", "registry:\n  url: http://u:secret@r:8081\n", []string{
			`sessionizer.yaml:2: registry.url: holds a user: want registry.username and ` +
				`registry.password_file for that`}},
		{"PasswordInFile", "registry:\n  url: http://r\n  username: u\n  password: p\n", []string{
			`sessionizer.yaml:4: registry.password: a secret does not belong here: ` +
				`use registry.password_file, or SESSIONIZER_REGISTRY_PASSWORD in the environment`}},
		{"NoPassword", "registry:\n  url: https://r\n  username: u\n", []string{
			`sessionizer.yaml:3: registry.username: registry.username wants registry.password_file, or ` +
				`SESSIONIZER_REGISTRY_PASSWORD in the environment`}},
		{"NoUser", "registry:\n  url: https://r\n  password_file: /p\n", []string{
			`sessionizer.yaml:3: registry.password_file: has no effect without registry.username`}},
		{"TLSOfHTTP", "registry:\n  url: http://r\n  tls: {ca_file: /ca}\n", []string{
			`sessionizer.yaml:3: registry.tls.ca_file: has no effect without https:// in registry.url`}},
		{"TLSAndHTTP", "registry:\n  url: http://r\n  tls: {enabled: true}\n", []string{
			`sessionizer.yaml:3: registry.tls.enabled: registry.tls.enabled is true and registry.url says ` +
				`otherwise: want https:// there`}},
		{"HalfACertificate", "registry:\n  url: https://r\n  tls: {cert_file: /c}\n", []string{
			`sessionizer.yaml:3: registry.tls.cert_file: cert_file and key_file go together: one of them ` +
				`is missing`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := inFile(c.file)
			w.files["empty.avsc"], w.files["text.avsc"] = " \n", `"string"`
			if _, _, err := w.load(); !reflect.DeepEqual(lines(err), c.want) {
				t.Errorf("got\n%v\nwant\n%s", err, strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestLoad_ARegistryThatNothingNeedsIsWarnedOf(t *testing.T) {
	_, warnings, err := inFile("input: {format: json}\nregistry: {url: 'http://r'}\n").load()
	want := "sessionizer.yaml:2: registry.url: has no effect: neither events nor visits have a schema there"
	if err != nil || warnings.Error() != want {
		t.Errorf("%v, %v", err, warnings)
	}
	_, warnings, err = inFile(
		"input: {format: json}\nvisits: {format: avro}\nregistry: {url: 'http://r'}\n").load()
	if err != nil || len(warnings) > 0 {
		t.Errorf("%v, %v", err, warnings)
	}
}
