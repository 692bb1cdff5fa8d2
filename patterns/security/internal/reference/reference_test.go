package reference

import (
	"strings"
	"testing"

	"github.com/serverless-go/cdk/patterns/security/schema"
)

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		ref := New()
		if !WellFormed(ref) || !Contains("x"+ref+"y") || len(ref) != size || seen[ref] || seen[Hash(ref)] {
			t.Fatalf("%q is malformed or came twice", ref)
		}
		seen[ref], seen[Hash(ref)] = true, true
		if got := Redact("a " + ref + " b"); got != "a sgref_[redacted] b" {
			t.Errorf("redacted: %s", got)
		}
	}
}

// Every single character counts: a mistyped reference is none.
func TestMistyped(t *testing.T) {
	ref := New()
	for i := len(schema.ReferencePrefix); i < len(ref); i++ {
		for _, c := range "Aa0-_=+/ \n" {
			if typed := ref[:i] + string(c) + ref[i+1:]; typed != ref && WellFormed(typed) {
				t.Errorf("%q is well-formed, and so is %q", ref, typed)
			}
		}
		if WellFormed(ref[:i]) || WellFormed(ref[:i]+ref[i+1:]) {
			t.Errorf("%q is well-formed without a character", ref)
		}
	}
}

func TestPlainName(t *testing.T) {
	for name, want := range map[string]string{
		"Accept": "accept", "X_Access_Reference": "x-access-reference", " x-access-reference\t": "x-access-reference", "х-ассеѕѕ-rеfеrеnсе": "x-access-reference",
		"ｘ－ａｃｃｅｓｓ＿ｒｅｆｅｒｅｎｃｅ": "x-access-reference", "x\u00ad-internal\u200d-a": "x-internal-a", "xaccess": "xaccess",
	} {
		if got := plainName(name); got != want {
			t.Errorf("%q is read as %q, want %q", name, got, want)
		}
	}
}

func FuzzWellFormed(f *testing.F) {
	f.Add(New())
	f.Add(schema.ReferencePrefix + strings.Repeat("A", 48))
	f.Fuzz(func(t *testing.T, s string) {
		if WellFormed(s) && (!Contains(s) || len(s) != size || strings.ContainsAny(s, ", \t\r\n=")) {
			t.Errorf("%q is well-formed", s)
		}
		if Contains(Redact(s)) {
			t.Errorf("%q redacted still has a reference", s)
		}
	})
}

// Whatever the parts are, a reference in one of them is found, and nothing makes
// the search fail.
func FuzzCarrier(f *testing.F) {
	ref := New()
	f.Add("x-access-reference", "v", "a=b", "a=b&c=d", "/p")
	f.Add("X_ACCESS_REFERENCE", ref, "r="+ref, "r="+ref, "/"+ref)
	f.Add("authorization", "", "", "%zz=%%", "%")
	f.Fuzz(func(t *testing.T, name, value, cookie, query, path string) {
		c := Carrier{Headers: map[string]string{name: value}, Cookies: []string{cookie}, Query: query, Path: path, Decoded: Decode(map[string]string{name: value}, map[string]string{"p": value})}
		why := c.Foreign([]string{"x-mine"})
		if why == "" && (Contains(value) || Contains(path)) {
			t.Errorf("a reference was not found in %q or %q", value, path)
		}
		if why == "" && lower(name) != schema.ReferenceHeader && plainName(name) == schema.ReferenceHeader {
			t.Errorf("%q passes", name)
		}
		if got, why := c.Reference(); why == "" && (lower(name) != schema.ReferenceHeader || got != value) {
			t.Errorf("%q has the reference %q", name, got)
		}
		c.Mentions(ref)
		if d := decoded(query); strings.Contains(query, ref) && !strings.Contains(d, ref) {
			t.Errorf("decoding %q lost the reference: %q", query, d)
		}
	})
}
