package config

import "strings"

// Nearest returns the candidate most like an unknown name; empty: none is near enough to be what
// was meant.
func Nearest(name string, candidates []string) string { return nearest(name, candidates, ".") }

// nearest returns the candidate most like name, or nothing where none is near
// enough to be what was meant. A name that was right but for the section it
// stands in (timeout instead of session.timeout) is near.
func nearest(name string, candidates []string, separator string) string {
	if len(name) > nearestMax {
		return ""
	}
	best, bestDistance := "", len(name)/3+2
	for _, c := range candidates {
		d := distance(name, c)
		if last(c, separator) == last(name, separator) && c != name {
			// The right word in the wrong place beats any misspelling, and
			// among several such the one in the likest section wins.
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = c, d
		} else if d == bestDistance && best != "" && distance(name, c) < distance(name, best) {
			best = c
		}
	}
	return best
}

func last(name, separator string) string {
	if separator == "" {
		return name
	}
	return name[strings.LastIndex(name, separator)+1:]
}

// nearestMax bounds the names that are compared: no key is as long.
const nearestMax = 100

// distance is the number of bytes inserted, deleted, replaced, or swapped with
// their neighbour that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
