package tidy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
)

// The compose file is read here as strictly as can be without a container engine: unknown keys,
// images that are not pinned, dependencies on nothing, mounts of nothing, and a configuration that
// the processor would refuse.

type composeFile struct {
	Name     string
	Services map[string]service
	Volumes  map[string]*struct{}
}

type service struct {
	Image           string
	Build           *build
	Entrypoint      []string
	Command         []string
	Environment     map[string]string
	Ports           []string
	Volumes         []string
	DependsOn       map[string]dependency `yaml:"depends_on"`
	Healthcheck     *healthcheck
	Restart         string
	ReadOnly        bool   `yaml:"read_only"`
	StopGracePeriod string `yaml:"stop_grace_period"`
}

type build struct{ Context, Target string }

type dependency struct{ Condition string }

type healthcheck struct {
	Test              []string
	Interval, Timeout string
	Retries           int
	StartPeriod       string `yaml:"start_period"`
}

func compose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCompose(string(text))
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return c
}

func parseCompose(text string) (c composeFile, err error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	err = d.Decode(&c)
	return c, err
}

func TestCompose_HoldsTogether(t *testing.T) {
	c := compose(t)
	if len(c.Services) == 0 {
		t.Fatal("docker-compose.yml has no services")
	}
	targets := dockerTargets(t)
	for _, fault := range composeFaults(c, targets) {
		t.Errorf("docker-compose.yml: %s", fault)
	}
}

func composeFaults(c composeFile, targets []string) (faults []string) {
	pinned := regexp.MustCompile(`:\d+\.\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$`)
	for name, s := range c.Services {
		fault := func(format string, args ...any) {
			faults = append(faults, name+": "+fmt.Sprintf(format, args...))
		}
		switch {
		case (s.Image == "") == (s.Build == nil):
			fault("either an image or a build, not both or neither")
		case s.Image != "" && !pinned.MatchString(s.Image):
			fault("image %s: pin it to a full version", s.Image)
		case s.Build != nil && !slices.Contains(targets, s.Build.Target):
			fault("the Dockerfile has no target %q", s.Build.Target)
		}
		for on, d := range s.DependsOn {
			other, ok := c.Services[on]
			switch d.Condition {
			case "service_started", "service_completed_successfully":
			case "service_healthy":
				if ok && other.Healthcheck == nil {
					fault("waits for %s to be healthy, which has no healthcheck", on)
				}
			default:
				fault("waits for %s to be %q: there is no such condition", on, d.Condition)
			}
			if !ok {
				fault("waits for %s: there is no such service", on)
			}
			if ok && d.Condition == "service_completed_successfully" && other.Restart != "" {
				fault("waits for the end of %s, which is started again", on)
			}
		}
		for _, mount := range s.Volumes {
			from, _, _ := strings.Cut(mount, ":")
			if _, volume := c.Volumes[from]; volume {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, from)); err != nil || !strings.HasPrefix(from, "./") {
				fault("mounts %s: neither a volume nor a file here", from)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				fault("port %s: open to everybody; begin it with 127.0.0.1:", port)
			}
		}
	}
	return faults
}

// A broken copy of the file must be found out, fault by fault.
func TestCompose_EveryFaultIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"a: {image: 'x:latest'}":                 "pin it",
		"a: {image: x}":                          "pin it",
		"a: {}":                                  "either an image or a build",
		"a: {build: {context: ., target: none}}": "no target",
		"a: {image: 'x:1.2.3', depends_on: {b: {condition: service_started}}}": "no such service",
		"a: {image: 'x:1.2.3', depends_on: {a: {condition: service_healthy}}}": "no healthcheck",
		"a: {image: 'x:1.2.3', depends_on: {a: {condition: ready}}}":           "no such condition",
		"a: {image: 'x:1.2.3', volumes: ['./gone:/x']}":                        "neither a volume",
		"a: {image: 'x:1.2.3', ports: ['80:80']}":                              "open to everybody",
	} {
		c, err := parseCompose("services: {" + text + "}")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		faults := composeFaults(c, []string{"sessionizer"})
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%s: faults %q, want one that says %q", text, faults, want)
		}
	}
	if _, err := parseCompose("services: {a: {imagee: x}}"); err == nil {
		t.Error("an unknown key was not found out")
	}
}

func dockerTargets(t *testing.T) (targets []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^FROM .* AS (\w+)$`).FindAllSubmatch(text, -1) {
		targets = append(targets, string(m[1]))
	}
	return targets
}

// Every service that runs sessionizer must find a configuration that it accepts where its command
// says, or the Dockerfile's.
func TestCompose_TheConfigurationIsAccepted(t *testing.T) {
	c := compose(t)
	checked := 0
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if s.Build == nil || s.Build.Target != "sessionizer" {
			continue
		}
		checked++
		file := "/etc/sessionizer/sessionizer.yaml"
		if i := slices.Index(s.Command, "--config"); i >= 0 && i+1 < len(s.Command) {
			file = s.Command[i+1]
		}
		var environ []string
		for key, value := range s.Environment {
			environ = append(environ, key+"="+value)
		}
		conf, warnings, err := config.Load(config.Sources{
			File: file, Environ: environ,
			Hostname: func() (string, error) { return name, nil },
			ReadFile: func(inside string) ([]byte, error) { return readMounted(s, inside) },
		})
		if err != nil {
			t.Errorf("docker-compose.yml: %s: %v", name, err)
			continue
		}
		for _, w := range warnings {
			t.Errorf("docker-compose.yml: %s: warning: %v", name, w)
		}
		host, _, _ := strings.Cut(conf.Kafka.Brokers[0], ":")
		if _, ok := c.Services[host]; !ok {
			t.Errorf("docker-compose.yml: %s: broker %s is no service", name, conf.Kafka.Brokers[0])
		}
	}
	if checked == 0 {
		t.Error("docker-compose.yml: no service runs sessionizer")
	}
}

// readMounted reads a file as a service sees it.
func readMounted(s service, inside string) ([]byte, error) {
	for _, mount := range s.Volumes {
		parts := strings.Split(mount, ":")
		if len(parts) > 1 && parts[1] == inside {
			return os.ReadFile(filepath.Join(root, parts[0]))
		}
	}
	return nil, fmt.Errorf("open %s: nothing is mounted there", inside)
}

func TestDocker_TheImageIsSmallAndNotRoot(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(text), "\nFROM ")
	final := "FROM " + stages[len(stages)-1]
	if !strings.HasPrefix(final, "FROM base AS sessionizer\n") {
		t.Errorf("Dockerfile: the last stage, which is built by default, is not sessionizer:\n%s", final)
	}
	for _, want := range []string{
		"\nFROM scratch AS base\n", "\nUSER 65532:65532\n", "\nENV CGO_ENABLED=0 ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("Dockerfile: no line %q", strings.TrimSpace(want))
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	image := regexp.MustCompile(`golang:(\d+\.\d+)\.\d+ AS build`).FindStringSubmatch(string(text))
	if language == nil || image == nil || string(language[1]) != image[1] {
		t.Errorf("Dockerfile: the build image %q is not of the Go of go.mod, %q", image, language)
	}
}
