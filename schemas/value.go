package schemas

// stackBits is how many open containers one call of value holds, a bit each.
const stackBits = 64

// value checks the value at i, of which depth containers are open around it, and returns the
// offset behind it, or a negative number with the fault noted.
//
// It is a state machine with a bit for each open container instead of a recursion; only every
// stackBits levels it calls itself, so a hostile depth costs a small stack.
//
//nolint:gocognit,gocyclo,cyclop // its parts share all their variables
func (s *checker) value(b []byte, i, depth int) int {
	var (
		stack uint64 // the lowest bit is the innermost container; set: an object
		level int
	)
value:
	if uint(i) >= uint(len(b)) {
		return s.fail(i, faultEnd)
	}
	switch c := b[i]; c {
	case '"':
		if j := short(b, i+1); j > 0 {
			i = j
		} else if i = s.text(b, i+1); i < 0 {
			return i
		}
	case '{', '[':
		if level == stackBits || depth+level >= s.depthMax {
			if i = s.deeper(b, i, depth+level); i < 0 {
				return i
			}
			goto after
		}
		if i = past(b, i+1); uint(i) < uint(len(b)) && b[i] == c+2 {
			i++ // the closing one of both stands two behind the opening one
			goto after
		}
		level++
		stack <<= 1
		if c == '{' {
			stack |= 1
			goto member
		}
		goto value
	case 't', 'f', 'n':
		if i = s.literal(b, i); i < 0 {
			return i
		}
	default:
		if i = s.number(b, i); i < 0 {
			return i
		}
	}
after:
	if level == 0 {
		return i
	}
	if i = past(b, i); uint(i) >= uint(len(b)) {
		return s.fail(i, faultEnd)
	}
	if b[i] != ',' {
		if b[i] != ']'+('}'-']')*byte(stack&1) {
			return s.fail(i, faultSyntax)
		}
		i++
		stack >>= 1
		level--
		goto after
	}
	if i = past(b, i+1); stack&1 == 0 {
		goto value
	}
member:
	if i = s.name(b, i); i >= 0 {
		goto value
	}
	return i
}

// deeper is value for a container that value has no bit for, or that is too deep.
func (s *checker) deeper(b []byte, i, depth int) int {
	if depth >= s.depthMax {
		return s.fail(i, faultDepth)
	}
	return s.value(b, i, depth)
}

// name checks a member's name and colon at i and returns the offset of its value.
func (s *checker) name(b []byte, i int) int {
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return s.failAt(b, i, faultSyntax)
	}
	if j := short(b, i+1); j > 0 {
		i = j
	} else if i = s.text(b, i+1); i < 0 {
		return i
	}
	if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
		return i + 1
	}
	return s.colon(b, i)
}

// colon checks the colon behind a member's name that ends in front of i and returns the offset of
// the value.
func (s *checker) colon(b []byte, i int) int {
	if i = past(b, i); uint(i) >= uint(len(b)) || b[i] != ':' {
		return s.failAt(b, i, faultSyntax)
	}
	return past(b, i+1)
}

// short returns the offset behind the closing quote of a string that begins at i and has no more
// than eight bytes, all of them plain; 0: there is none.
func short(b []byte, i int) int {
	if i+8 < len(b) {
		if i += plain(load(b, i)); b[i] == '"' {
			return i + 1
		}
	}
	return 0
}
