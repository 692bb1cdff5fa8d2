// Package uuid makes version 4 UUIDs (RFC 9562) from a source of randomness
// that the caller chooses, so that a test gets the same ones each time.
package uuid

import (
	"fmt"
	"math/rand/v2"
)

// New returns the next UUID of the source.
func New(r *rand.Rand) string {
	hi, lo := r.Uint64(), r.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(0xc<<60) | 0x8<<60
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}
