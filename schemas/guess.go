package schemas

// guess is the member that stood at one position of an object in the event before. Events of one
// source have their members in one order: where the next event has the same bytes there, its name
// is checked and found already.
type guess struct {
	head, middle, tail uint64 // of the name with its quotes and colon; head alone if that is short
	mask               uint64 // of head: the bytes that are the name's; no guess: 0, and head is not
	size               int32  // bytes of the name with its quotes and colon
	child              int32
}

const (
	guessBytesMax = 24 // of a name with its quotes and colon; longer ones are not guessed
	guessesMax    = 64 // of one object: bounds what a reader holds
)

// isAt reports whether these bytes begin at i, with at least one behind them.
func (g *guess) isAt(b []byte, i int) bool {
	size := int(g.size)
	if i+max(size, 8) >= len(b) || load(b, i)&g.mask != g.head {
		return false
	}
	return size <= 8 || load(b, i+size-8) == g.tail && (size <= 16 || load(b, i+8) == g.middle)
}

// guesses are those of one object, by position.
type guesses []guess

// learn keeps the name, quotes and colon included, at a position.
func (g *guesses) learn(at int, name []byte, child int) {
	if at >= guessesMax {
		return
	}
	for len(*g) <= at {
		*g = append(*g, guess{head: 1})
	}
	size := len(name)
	if size > guessBytesMax {
		(*g)[at] = guess{head: 1}
		return
	}
	var room [guessBytesMax + 8]byte
	copy(room[:], name)
	x := guess{head: load(room[:], 0), mask: ^uint64(0), size: int32(size), child: int32(child)}
	switch {
	case size < 8:
		x.mask = 1<<(8*size) - 1
	case size > 8:
		x.middle, x.tail = load(room[:], 8), load(room[:], size-8)
	}
	(*g)[at] = x
}
