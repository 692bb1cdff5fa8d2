package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible reports whether s can be a claim of a token: it has no characters that
// are not seen. Names end up in logs, keys and headers, where two must not look
// alike. U+FFFD is what decoders make of anything that is no character.
//
// Whoever keeps what shall become a claim later asks this before, or nobody can
// make the token.
func Visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
}
