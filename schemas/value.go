package schemas

// value checks the value at i, of which depth containers are open around it, and returns the
// offset behind it, or a negative number with the fault noted.
//
// It is a loop with a bit for each open container instead of a recursion; only every
// stackBits levels it calls itself, so a hostile depth costs a small stack.
//
//nolint:gocognit,gocyclo,cyclop,funlen // one state machine: its parts share all their variables
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
		i++
		if i+8 <= len(b) {
			if j := i + plain(load(b, i)); j < len(b) && b[j] == '"' {
				i = j + 1
				goto after
			}
		}
		if i = s.text(b, i); i < 0 {
			return i
		}
	case '{', '[':
		if depth+level >= s.depthMax {
			return s.fail(i, faultDepth)
		}
		if level == stackBits {
			if i = s.value(b, i, depth+level); i < 0 {
				return i
			}
			goto after
		}
		if i = past(b, i+1); uint(i) >= uint(len(b)) {
			return s.fail(i, faultEnd)
		}
		if b[i] == c+2 { // the closing one of both stands two behind the opening one
			i++
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
	if b[i] == ',' {
		i = past(b, i+1)
		if stack&1 == 0 {
			goto value
		}
		goto member
	}
	if b[i] != ']'+('}'-']')*byte(stack&1) {
		return s.fail(i, faultSyntax)
	}
	i++
	stack >>= 1
	level--
	goto after
member:
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return s.failAt(b, i, faultSyntax)
	}
	i++
	if i+8 <= len(b) {
		if j := i + plain(load(b, i)); j < len(b) && b[j] == '"' {
			i = j + 1
			goto colon
		}
	}
	if i = s.text(b, i); i < 0 {
		return i
	}
colon:
	if i = past(b, i); uint(i) >= uint(len(b)) || b[i] != ':' {
		return s.failAt(b, i, faultSyntax)
	}
	i = past(b, i+1)
	goto value
}
