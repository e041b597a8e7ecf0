package session

import "errors"

// UUID returns the uuid of a session.
func UUID(source, anonymousID []byte, id ID, t IDType) [16]byte { return [16]byte{} }

// AppendKey appends the state key of (source, anonymousID).
func AppendKey(dst, source, anonymousID []byte) []byte { return append(dst, anonymousID...) }

// SplitKey is the inverse of AppendKey.
func SplitKey(key, scratch []byte) (source, anonymousID []byte, err error) {
	return nil, nil, errors.New("split key")
}
