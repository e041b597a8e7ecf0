package sim

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// story is a run that failed, small enough to be read and exact enough to be played again: the seed
// and which of its steps are left out.
type story struct {
	seed    uint64
	events  int
	steps   int // that are played before everything comes to rest; 0: until the events are in
	dropped map[int]bool
}

// The lines of a trace file. All others are comments that begin with '#'.
const (
	lineSeed   = "seed "
	lineEvents = "events "
	lineSteps  = "steps "
	lineDrop   = "drop "
)

// write writes the story as a file: what is wrong and what happens are comments.
func (s *story) write(to io.Writer, wrong error, happens []string) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "# A run of internal/sim that fails. Play it again with: make sim TRACE=this-file\n#\n")
	for line := range strings.Lines(wrong.Error()) {
		fmt.Fprintf(w, "# %s\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprintf(w, "\n%s%d\n%s%d\n%s%d\n", lineSeed, s.seed, lineEvents, s.events, lineSteps, s.steps)
	if text := s.droppedText(); text != "" {
		fmt.Fprintf(w, "%s%s\n", lineDrop, text)
	}
	fmt.Fprintf(w, "\n# What happens, by steps:\n")
	for _, line := range happens {
		fmt.Fprintf(w, "# %s\n", line)
	}
	return w.Flush()
}

// droppedText names steps as ranges: 3-7 9 12-40.
func (s *story) droppedText() string {
	var all []int
	for step := range s.dropped {
		all = append(all, step)
	}
	slices.Sort(all)
	var ranges []string
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j] == all[j-1]+1 {
			j++
		}
		if j == i+1 {
			ranges = append(ranges, fmt.Sprint(all[i]))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", all[i], all[j-1]))
		}
		i = j
	}
	return strings.Join(ranges, " ")
}

// readStory reads what write has written.
func readStory(from io.Reader) (*story, error) {
	s := &story{dropped: map[int]bool{}}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.readLine(line); err != nil {
			return nil, fmt.Errorf("read the line %q of a trace: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read a trace: %w", err)
	}
	if s.seed == 0 || s.events == 0 {
		return nil, fmt.Errorf("read a trace: it needs a line %q and a line %q", lineSeed, lineEvents)
	}
	return s, nil
}

func (s *story) readLine(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word + " " {
	case lineSeed:
		_, err = fmt.Sscan(rest, &s.seed)
	case lineEvents:
		_, err = fmt.Sscan(rest, &s.events)
	case lineSteps:
		_, err = fmt.Sscan(rest, &s.steps)
	case lineDrop:
		for _, part := range strings.Fields(rest) {
			var first, last int
			if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n < 2 {
				last = first
			}
			if first < 1 || last < first || last-first > 1<<20 {
				return fmt.Errorf("%q is no range of steps", part)
			}
			for step := first; step <= last; step++ {
				s.dropped[step] = true
			}
		}
	default:
		err = fmt.Errorf("there is no %q", word)
	}
	return err
}

// shrink leaves out steps for as long as the run fails, larger pieces first, in so many runs at
// most. fails plays the story.
func (s *story) shrink(runsMax int, fails func(*story) bool) {
	for size := (s.steps + 1) / 2; size >= 1; size /= 2 {
		for first := 1; first <= s.steps; first += size {
			if runsMax == 0 {
				return
			}
			less := &story{seed: s.seed, events: s.events, steps: s.steps, dropped: map[int]bool{}}
			for step := range s.dropped {
				less.dropped[step] = true
			}
			for step := first; step < first+size && step <= s.steps; step++ {
				less.dropped[step] = true
			}
			if len(less.dropped) == len(s.dropped) {
				continue // it is left out already
			}
			if runsMax--; fails(less) {
				s.dropped = less.dropped
			}
		}
	}
}
