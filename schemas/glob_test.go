package schemas

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A pattern is the user's, the text is anybody's: whatever the text is, a match must be right and
// must cost no more than the text is long.

// naive fills the table of which beginnings of the text each beginning of the pattern matches.
func naive(pattern, text []rune) bool {
	at := make([]bool, len(text)+1)
	at[0] = true
	for _, p := range pattern {
		next := make([]bool, len(text)+1)
		for i := range next {
			switch {
			case p == '*':
				next[i] = at[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = at[i-1] && (p == '?' || p == text[i-1])
			}
		}
		at = next
	}
	return at[len(text)]
}

func TestGlobsTakeTheWholeValue(t *testing.T) {
	for _, i := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{""}, []string{"a"}},
		{"*", []string{"", "a", "é*"}, nil},
		{"?", []string{"a", "é", "😀", "?", "*"}, []string{"", "ab"}},
		{"a*b*c", []string{"abc", "aXbYc", "abcbc"}, []string{"ac", "acb", "abcd"}},
		{"*a?c*", []string{"abc", "xabcx", "aabc", "aéc"}, []string{"ac", "abbc"}},
		{"*ab", []string{"ab", "aab", "abab"}, []string{"aba"}},
		{"a*a", []string{"aa", "aba"}, []string{"a"}},
		{"??*??", []string{"aaaa", "éééé", "aaaaa"}, []string{"aaa"}},
		{"*aab*", []string{"aaab"}, []string{"aaa"}},
		{"*a?b*", []string{"aaab", "aabb"}, []string{"aaa"}},
		{"[a-b]", []string{"[a-b]"}, []string{"a"}},
		{`\*`, []string{`\`, `\x`}, []string{"*"}},
		{"*é?*", []string{"aéé", "éx"}, []string{"é"}},
	} {
		g, err := newGlob(i.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range [][]string{i.no, i.yes} {
			for _, text := range list {
				if g.match([]byte(text)) != (want == 1) {
					t.Errorf("%q of %q: %v", i.pattern, text, want == 0)
				}
			}
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"a*b?c", "axxbyc"}, {"*a?b*aa", "aaabaab"}, {"*é?*", "xéé"},
		{"**??a", "ba"}, {"*?a?b*?", "aaaaab"}, {"?*?", "😀"}, {"a*a*a*a", "aaaaaaab"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern)*len(text) > 1e6 {
			return
		}
		g, err := newGlob(pattern)
		if err != nil {
			return // a part that is too long
		}
		if got, want := g.match([]byte(text)), naive([]rune(pattern), []rune(text)); got != want {
			t.Fatalf("%q of %q: %v, want %v", pattern, text, got, want)
		}
	})
}

// The work on a hostile text is bounded: a matcher that tries back and forth would take for ever.
func TestGlobsTakeLinearTime(t *testing.T) {
	text := []byte(strings.Repeat("a", 1<<20))
	for _, pattern := range []string{strings.Repeat("a*", 500) + "b",
		"*" + strings.Repeat("a?", 31) + "b*", strings.Repeat("*?a", 300) + "*b*",
		"*" + strings.Repeat("a", 1000) + "b*", strings.Repeat("*?", 40) + "b"} {
		g, err := newGlob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if g.match(text) {
			t.Errorf("%.20s holds", pattern)
		}
	}
}
