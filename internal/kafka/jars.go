//go:build unix

package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed pom.xml
var pom string

//go:embed log4j2.xml
var log4j string

// javaMin is the oldest Java that Apache Kafka 4 brokers run on.
const javaMin = 17

// installHint ends every message about a missing tool.
const installHint = "install a Java runtime of version 17 or later and Maven" +
	" (Debian: apt-get install openjdk-17-jre-headless maven)"

// Dir returns the folder of everything that this package keeps: .kafka beside the go.mod above the
// working directory.
func Dir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".kafka"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the module: no go.mod in %s or above", wd)
		}
	}
}

// dependencyPlugin is the Maven plugin that fetches; the pom names the same.
const dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:"

// registryArtifact is the schema registry of the tests: one archive of a runner, which has the
// name below, and of the libraries beside it.
const (
	registryVersion  = "2.6.13.Final"
	registryArtifact = "io.apicurio:apicurio-registry-app:" + registryVersion + ":tar.gz:all"
	registryRunner   = "apicurio-registry-app-" + registryVersion + "-runner.jar"
)

// Jars returns the folder of Kafka's jars below dir. The first call fetches them with Maven, about
// 54 MB, and says so; later ones need neither Maven nor a network.
func Jars(ctx context.Context, dir string, say io.Writer) (string, error) {
	sum := sha256.Sum256([]byte(pom))
	return fetch(ctx, "Kafka: 54 MB", filepath.Join(dir, fmt.Sprintf("jars-%.6x", sum[:])), say,
		dependencyPlugin+"copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars")
}

// RegistryJars is Jars for the schema registry, 142 MB.
func RegistryJars(ctx context.Context, dir string, say io.Writer) (string, error) {
	return fetch(ctx, "the schema registry: 142 MB", filepath.Join(dir, "registry-"+registryVersion),
		say, dependencyPlugin+"unpack", "-Dartifact="+registryArtifact, "-DoutputDirectory=jars")
}

// fetch returns the folder of what a Maven goal puts into a folder named jars. Where it is there
// already nothing is asked of Maven.
func fetch(
	ctx context.Context, what, folder string, say io.Writer, goal ...string,
) (string, error) {
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("fetch %s: no mvn on the PATH: %s", what, installHint)
	}
	fmt.Fprintf(say, "kafka: fetching with Maven, once: %s\n", what)
	dir := filepath.Dir(folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("fetch %s: %w", what, err)
	}
	// The jars are gathered aside and renamed when they are all there: a fetch that was cut short
	// is never taken for a whole one.
	work, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", what, err)
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(pom), 0o644); err != nil {
		return "", fmt.Errorf("fetch %s: %w", what, err)
	}
	mvn := exec.CommandContext(ctx, "mvn", append([]string{"-q", "-B"}, goal...)...)
	mvn.Dir = work
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch %s with Maven: %w\n%s", what, err, out)
	}
	if err := os.Rename(filepath.Join(work, "jars"), folder); err != nil {
		if _, other := os.Stat(folder); other == nil {
			return folder, nil // another process was first
		}
		return "", fmt.Errorf("fetch %s: %w", what, err)
	}
	return folder, nil
}

// java returns the path of a Java that is new enough: JAVA_HOME's, else the PATH's.
func java(ctx context.Context) (string, error) {
	path := filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")
	if os.Getenv("JAVA_HOME") == "" {
		found, err := exec.LookPath("java")
		if err != nil {
			return "", fmt.Errorf("start Kafka: no java on the PATH: %s", installHint)
		}
		path = found
	}
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w: %s", path, err, installHint)
	}
	major, err := javaMajor(string(out))
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	if major < javaMin {
		return "", fmt.Errorf("start Kafka: %s is Java %d: %s", path, major, installHint)
	}
	return path, nil
}

// javaMajor reads the feature version out of what `java -version` prints. Before Java 9 the text
// began with 1., as in 1.8.0_392, and the 1 is returned: too old, which is all that matters.
func javaMajor(out string) (int, error) {
	_, version, found := strings.Cut(out, `version "`)
	if !found {
		return 0, errors.New("no version in its output")
	}
	digits := len(version) - len(strings.TrimLeft(version, "0123456789"))
	return strconv.Atoi(version[:digits])
}
