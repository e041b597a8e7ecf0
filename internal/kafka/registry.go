//go:build unix

package kafka

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// RegistryOptions say which schema registry.
type RegistryOptions struct {
	Dir  string // the registry's own folder; made where it is missing
	Jars string // the folder that RegistryJars returned
	Port int    // on 127.0.0.1; 0: a free one
}

// Registry is an Apicurio Registry, running or not, which speaks the interface of Confluent's. Its
// methods are for one goroutine at a time.
type Registry struct {
	process
	o RegistryOptions
}

// NewRegistry describes a registry and starts nothing. It has the same port for its whole life.
func NewRegistry(o RegistryOptions) (*Registry, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("locate the registry's folder: %w", err)
	}
	o.Dir = dir
	if o.Port == 0 {
		if o.Port, _, err = freePorts(); err != nil {
			return nil, err
		}
	}
	p := process{name: "the registry", dir: dir, mark: filepath.Join("data", "registry"),
		log: "registry.log"}
	return &Registry{p, o}, nil
}

// URL is where clients of Confluent's registry find it.
func (r *Registry) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(r.o.Port)) + "/apis/ccompat/v7"
}

// LogFile is the file of what the registry prints.
func (r *Registry) LogFile() string { return r.file(r.log) }

// Start starts the registry and returns when it answers; one that runs already is only waited for.
// The registry outlives this process, and one of the same folder has the same schemas under the
// same ids.
func (r *Registry) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if r.Running() {
		return r.await(ctx, nil, r.answers)
	}
	if err := r.portsFree(r.o.Port); err != nil {
		return err
	}
	java, err := java(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.file(r.mark)), 0o755); err != nil {
		return fmt.Errorf("configure the registry: %w", err)
	}
	return r.start(ctx, java, r.args(), r.answers)
}

// args begin with what makes a small process that is up quickly.
func (r *Registry) args() []string {
	return []string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=" + strconv.Itoa(r.o.Port),
		"-Dquarkus.log.level=WARN", "-Dquarkus.log.console.format=%d %p %c %s%e%n",
		"-Dquarkus.datasource.jdbc.min-size=2", "-Dquarkus.datasource.jdbc.initial-size=2",
		// Its database is H2, in memory unless told otherwise. A file keeps schemas and ids over a
		// stop; without the delay that H2 has by default, over a kill right behind a write too.
		"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:" + r.file(r.mark) + ";WRITE_DELAY=0",
		"-cp", filepath.Join(r.o.Jars, registryRunner) + ":" + filepath.Join(r.o.Jars, "lib", "*"),
		"io.quarkus.runner.GeneratedMain",
	}
}

func (r *Registry) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL()+"/subjects", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Stop ends the registry in good order, or kills it when that takes longer than half a minute. It
// returns when the process is gone; a registry that does not run is fine.
func (r *Registry) Stop() error { return r.end(syscall.SIGTERM) }

// Kill ends the registry as a crash would.
func (r *Registry) Kill() error { return r.end(syscall.SIGKILL) }

// Pause stops the registry's process where it is, until Continue.
func (r *Registry) Pause() error { return r.signal(syscall.SIGSTOP) }

// Continue lets a paused registry run on.
func (r *Registry) Continue() error { return r.signal(syscall.SIGCONT) }

// Running reports whether the registry's process is there.
func (r *Registry) Running() bool { return r.running() }

// Remove deletes the registry's folder with all its schemas. It must not be running.
func (r *Registry) Remove() error { return r.remove() }
