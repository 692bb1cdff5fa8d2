// Package reference spells the references that clients hold, and finds them and
// other credentials wherever a request may bring them.
package reference

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

const (
	secretSize   = 32 // bytes: 256 bits, which nobody guesses
	checksumSize = 4
	encodedSize  = (secretSize + checksumSize) * 4 / 3
	size         = len(schema.ReferencePrefix) + encodedSize
)

// encoding refuses a last character with stray bits, so that a
// reference has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// New returns a reference: a prefix, 256 random bits and a checksum.
// The checksum is no secret; it tells a mistyped reference, or a text that only
// looks like one, without asking the table.
func New() string {
	b := make([]byte, secretSize, secretSize+checksumSize)
	rand.Read(b)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return schema.ReferencePrefix + encoding.EncodeToString(b)
}

// WellFormed reports whether s is spelled as a reference is. It says nothing
// about whether the reference was ever issued.
func WellFormed(s string) bool {
	encoded, ok := strings.CutPrefix(s, schema.ReferencePrefix)
	if !ok || len(s) != size {
		return false
	}
	// The decoder skips line breaks, which no reference has.
	if strings.ContainsAny(encoded, "\r\n") {
		return false
	}
	b, err := encoding.DecodeString(encoded)
	return err == nil && len(b) == secretSize+checksumSize &&
		binary.BigEndian.Uint32(b[secretSize:]) == crc32.ChecksumIEEE(b[:secretSize])
}

// Hash returns the key under which the table knows the reference. The reference
// has 256 random bits: a fast hash without salt is enough, as there is nothing
// to guess.
func Hash(reference string) string {
	sum := sha256.Sum256([]byte(reference))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var pattern = regexp.MustCompile(regexp.QuoteMeta(schema.ReferencePrefix) + `[A-Za-z0-9_-]{48}`)

// Contains reports whether the text has a reference in it.
func Contains(text string) bool { return pattern.MatchString(text) }

// Redact replaces every reference in the text, for logs.
func Redact(text string) string {
	return pattern.ReplaceAllString(text, schema.ReferencePrefix+"[redacted]")
}
