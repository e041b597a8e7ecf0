package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// sessionUUID is the uuid of a session id. A number has the UUIDv7 of the time number - 1000 ms
// with the first bits of SHA-256(anonymousId + "|" + number), or where that is no such time the
// UUIDv8 of the same hash; a text the UUIDv8 of its own hash. A UUID is its own. What is not empty
// of the source stands in front, with a NUL behind it.
func sessionUUID(source, anonymous, id, idType string, server bool) string {
	if idType == "uuid" {
		return id
	}
	n, err := strconv.ParseInt(id, 10, 64)
	isNumber := err == nil && (server || idType == "int64")
	return hashedUUID(source, anonymous, id, n, isNumber)
}

// serverID is the text of an id that the server makes of a number.
func serverID(source, anonymous string, n int64, idType string) string {
	text := strconv.FormatInt(n, 10)
	if idType == "uuid" {
		return hashedUUID(source, anonymous, text, n, true)
	}
	return text
}

func hashedUUID(source, anonymous, id string, n int64, isNumber bool) string {
	text := anonymous + "|" + id
	if source != "" {
		text = source + "\x00" + text
	}
	hash := sha256.Sum256([]byte(text))
	u := hash[:16]
	version := byte(0x80)
	if ms := n - 1000; isNumber && ms >= 0 && ms < 1<<48 {
		var stamp [8]byte
		binary.BigEndian.PutUint64(stamp[:], uint64(ms))
		u = append(append([]byte{}, stamp[2:]...), hash[:10]...)
		version = 0x70
	}
	u[6] = u[6]&0x0f | version
	u[8] = u[8]&0x3f | 0x80
	x := hex.EncodeToString(u)
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}
