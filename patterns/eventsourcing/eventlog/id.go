package eventlog

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// newID returns a UUID of version 7 (RFC 9562): milliseconds since 1970, then
// their fraction in 1/4096, then random bits. Ids sort by time.
func newID(now time.Time) string {
	var b [16]byte
	rand.Read(b[8:])
	fraction := now.Nanosecond() % 1e6 * 4096 / 1e6
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16|uint64(fraction))
	return uuid(7, b)
}

// uuid formats the bytes after setting version and variant.
func uuid(version byte, b [16]byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
