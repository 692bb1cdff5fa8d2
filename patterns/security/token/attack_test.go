package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/token"
)

// TestAttackToken plays tokens that must be refused, each for the reason that
// is stated: a token that is refused for another one proves nothing.
func TestAttackToken(t *testing.T) {
	k := keys()
	good := forge(header(), claims(), k.ec)
	parts := strings.Split(good, ".")
	es := func(h, p any) string { return forge(h, p, k.ec) }
	head := func(name string, value any) string { return es(header().with(name, value), claims()) }
	claim := func(name string, value any) string { return es(header(), claims().with(name, value)) }
	alg := func(a string) object { return header().with("alg", a) }
	nested := func(depth int) string {
		return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	}
	chain := func(n int) string {
		return strings.Repeat(`{"sub":"a","act":`, n-1) + `{"sub":"a"}` + strings.Repeat("}", n-1)
	}
	derSignature := func() string {
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		sig, err := ecdsa.SignASN1(rand.Reader, k.ec, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return parts[0] + "." + parts[1] + "." + b64.EncodeToString(sig)
	}
	// The last character of 64 bytes has four bits that say nothing.
	lastBits := func() string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, good[len(good)-1])
		return good[:len(good)-1] + string(alphabet[last^1])
	}
	const (
		notAllowed = "the algorithm is not allowed"
		unfit      = "the key does not fit the algorithm"
		unknown    = "it is signed with an unknown key"
		mismatch   = "the signature does not match"
		notParts   = "it has not the three parts of a signed token"
		notBase64  = "a part is not in base64url"
		wrongType  = "the type is not allowed"
		wrongIss   = "it is of another issuer"
		wrongAud   = "it is for another audience"
		kidSize    = "the key id has not 1 to 256 bytes"
		twice      = "a JSON object has a member twice"
	)
	for _, tt := range []struct{ name, token, reason string }{
		// Algorithms (RFC 8725, section 3.1).
		{"none without signature", strings.TrimRight(es(alg("none"), claims()), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), notBase64},
		{"none with a signature", es(alg("none"), claims()), notAllowed},
		{"None", es(alg("None"), claims()), notAllowed},
		{"nOnE", es(alg("nOnE"), claims()), notAllowed},
		{"no algorithm", es(header().with("alg", nil), claims()), `header "alg" is no string`},
		{"algorithm with a space", es(alg("ES256 "), claims()), notAllowed},
		{"algorithm in lower case", es(alg("es256"), claims()), notAllowed},
		{"RSA key in PEM as HMAC secret", forge(alg("HS256").with("kid", "rsa"), claims(), pemOf(k.rsa.Public())), notAllowed},
		{"RSA key in DER as HMAC secret", forge(alg("HS256").with("kid", "rsa"), claims(), der(k.rsa.Public())), notAllowed},
		{"EC key as HMAC secret", forge(alg("HS256"), claims(), pemOf(k.ec.Public())), notAllowed},
		{"RSA key in PEM as HMAC secret, called RS256", forge(alg("RS256").with("kid", "rsa"), claims(), pemOf(k.rsa.Public())), mismatch},
		{"RS256 with an EC key's id", forge(alg("RS256"), claims(), k.rsa), unfit},
		{"ES256 with an RSA key's id", forge(header().with("kid", "rsa"), claims(), k.ec), unfit},
		{"ES256 with a key on P-384", forge(header().with("kid", "ec384"), claims(), k.ec384), unfit},
		{"ES384 with a key on P-256", forge(alg("ES384"), claims(), k.ec), unfit},
		{"algorithm that is not listed", forge(alg("PS256").with("kid", "rsa"), claims(), k.rsa), notAllowed},

		// Signatures.
		{"signed by somebody else", forge(header(), claims(), k.evil), mismatch},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + b64.EncodeToString(make([]byte, 64)), mismatch},
		{"signature of r and s as large as the order", parts[0] + "." + parts[1] + "." +
			b64.EncodeToString(append(elliptic.P256().Params().N.Bytes(), elliptic.P256().Params().N.Bytes()...)), mismatch},
		{"signature in DER", derSignature(), mismatch},
		{"signature cut short", parts[0] + "." + parts[1] + "." + b64.EncodeToString(signature(parts[0]+"."+parts[1], k.ec)[:60]), mismatch},
		{"other claims under the signature", parts[0] + "." + b64.EncodeToString([]byte(encode(claims().with("sub", "admin")))) + "." + parts[2], mismatch},
		{"other header over the signature", b64.EncodeToString([]byte(encode(header().with("x", 1)))) + "." + parts[1] + "." + parts[2], mismatch},

		// Header (RFC 7515, section 4.1).
		{"own key embedded", forge(header().with("jwk", jwk("ec", k.evil.Public())), claims(), k.evil), `the header has "jwk"`},
		{"own key by URL", forge(header().with("jku", "https://evil.example.com/jwks"), claims(), k.evil), `the header has "jku"`},
		{"own certificate by URL", forge(header().with("x5u", "https://evil.example.com/cert"), claims(), k.evil), `the header has "x5u"`},
		{"own certificate embedded", forge(header().with("x5c", []string{"MIIB"}), claims(), k.evil), `the header has "x5c"`},
		{"critical extension", head("crit", []string{"exp"}), `the header has "crit"`},
		{"payload not encoded", es(header().with("b64", false), claims()), `the header has "b64"`},
		{"compressed", head("zip", "DEF"), `the header has "zip"`},
		{"nested", head("cty", "JWT"), `the header has "cty"`},
		{"no key id", head("kid", nil), `header "kid" is no string`},
		{"empty key id", head("kid", ""), kidSize},
		{"key id is a list", head("kid", []string{"ec"}), `header "kid" is no string`},
		{"key id is null", es(`{"alg":"ES256","kid":null,"typ":"at+jwt"}`, claims()), `header "kid" is no string`},
		{"key id is a path", head("kid", "../../../../dev/null"), unknown},
		{"key id is SQL", head("kid", "x' UNION SELECT 'key"), unknown},
		{"key id is a command", head("kid", "ec|whoami"), unknown},
		{"key id is a URL", head("kid", "https://evil.example.com/jwks#ec"), unknown},
		{"key id is overlong", head("kid", strings.Repeat("e", 257)), kidSize},
		{"key id has look-alikes", head("kid", "еc"), unknown}, // Cyrillic e
		{"key id has an invisible character", head("kid", "ec\u200b"), `header "kid" has control or format characters`},
		{"key id ends in NUL", head("kid", "ec\x00"), `header "kid" has control or format characters`},
		{"header has the algorithm twice", es(`{"alg":"none","kid":"ec","typ":"at+jwt","alg":"ES256"}`, claims()), "header: " + twice},
		{"header has the key id twice, once escaped", es(`{"alg":"ES256","kid":"ec","typ":"at+jwt","k\u0069d":"rsa"}`, claims()), "header: " + twice},
		{"header is a list", es(`["ES256"]`, claims()), "the header is not a JSON object"},
		{"header is null", es(`null`, claims()), "the header is not a JSON object"},
		{"header has something behind it", es(encode(header())+"{}", claims()), "header: not well-formed JSON"},

		// Types (RFC 8725, section 3.11; RFC 9068, section 4).
		{"ID token", head("typ", "JWT"), wrongType},
		{"no type", head("typ", nil), wrongType},
		{"logout token", head("typ", "logout+jwt"), wrongType},
		{"type with an invisible character", head("typ", "at+jwt\u200d"), `header "typ" has control or format characters`},

		// Issuer and audience (RFC 8725, sections 3.8 and 3.9).
		{"other issuer", claim("iss", "https://evil.example.com"), wrongIss},
		{"issuer with a slash", claim("iss", issuer+"/"), wrongIss},
		{"issuer in upper case", claim("iss", strings.ToUpper(issuer)), wrongIss},
		{"issuer that begins alike", claim("iss", issuer+".evil.example.com"), wrongIss},
		{"issuer is a list", claim("iss", []string{issuer}), `claim "iss" is no string`},
		{"no issuer", claim("iss", nil), wrongIss},
		{"replayed from another audience", claim("aud", "payments"), wrongAud},
		{"audience that begins alike", claim("aud", "orders-test"), wrongAud},
		{"list of other audiences", claim("aud", []string{"payments", "order", "orders "}), wrongAud},
		{"no audience", claim("aud", nil), wrongAud},
		{"empty list of audiences", claim("aud", []string{}), wrongAud},
		{"audience with a list inside", claim("aud", []any{[]string{"orders"}}), `claim "aud" is no string`},
		{"audience is a number", claim("aud", 1), `claim "aud" is no string`},

		// Time (RFC 7519, section 4.1). The verifier's leeway is 30 s.
		{"expired", claim("exp", now.Unix()-30), "it has expired"},
		{"no expiry", claim("exp", nil), "it has no expiry"},
		{"expiry is a string", claim("exp", "9999999999"), `claim "exp" is no number of seconds from 1970 to 9999`},
		{"expiry beyond all dates", es(header(), strings.Replace(encode(claims()), `"exp":`, `"exp":1e300,"x":`, 1)), `claim "exp" is no number of seconds from 1970 to 9999`},
		{"expiry overflows 64 bits", es(header(), strings.Replace(encode(claims()), `"exp":`, `"exp":18446744073709551616,"x":`, 1)), `claim "exp" is no number of seconds from 1970 to 9999`},
		{"expiry is negative", claim("exp", -1), `claim "exp" is no number of seconds from 1970 to 9999`},
		{"expiry is null", es(header(), strings.Replace(encode(claims()), `"exp":`, `"exp":null,"x":`, 1)), `claim "exp" is no number of seconds from 1970 to 9999`},
		{"not valid yet", claim("nbf", now.Unix()+31), "it is not valid yet"},
		{"issued in the future", claim("iat", now.Unix()+31), "it was issued in the future"},

		// Claims.
		{"subject twice", es(header(), strings.Replace(encode(claims()), "{", `{"sub":"admin",`, 1)), twice},
		{"subject twice, once escaped", es(header(), strings.Replace(encode(claims()), "{", `{"s\u0075b":"admin",`, 1)), twice},
		{"member twice in a claim inside", claim("x", json.RawMessage(`{"a":[{"b":1,"b":2}]}`)), twice},
		{"subject under a name in upper case", es(header(), claims().with("sub", nil).with("SUB", "admin")), "it has no subject"},
		{"empty subject", claim("sub", ""), "it has no subject"},
		{"subject is a number", claim("sub", 7), `claim "sub" is no string`},
		{"subject with a line break", claim("sub", "victim\nadmin"), `claim "sub" has control or format characters`},
		{"subject with an invisible character", claim("sub", "vic\u2060tim"), `claim "sub" has control or format characters`},
		{"subject is half a surrogate", es(header(), strings.Replace(encode(claims()), victim, `\ud800`, 1)), `claim "sub" has control or format characters`},
		{"tenant is an object", claim("tenant", object{"a": 1}), `claim "tenant" is no string`},
		{"scope with a line break", claim("scope", "read\nadmin"), `claim "scope" has control or format characters`},
		{"scope with two spaces", claim("scope", "read  admin"), `claim "scope" is no list of scopes separated by single spaces`},
		{"scope is a list", claim("scope", []string{"admin"}), `claim "scope" is no string`},
		{"actor without a subject", claim("act", object{"iss": issuer}), `claim "act" has an actor without a subject`},
		{"actor is a string", claim("act", "admin"), `claim "act" has an actor that is no JSON object`},
		{"actor within has no subject", claim("act", object{"sub": "a", "act": object{}}), `claim "act" has an actor without a subject`},
		{"more actors than allowed", claim("act", json.RawMessage(chain(token.MaxActors+1))), `claim "act" has more than 8 actors`},
		{"deep nesting", claim("x", json.RawMessage(nested(100))), "JSON is nested deeper than 12"},
		{"claims are a list", es(header(), `[`+encode(claims())+`]`), "claims are not a JSON object"},
		{"claims are null", es(header(), `null`), "claims are not a JSON object"},
		{"claims twice", es(header(), encode(claims())+encode(claims())), "not well-formed JSON"},
		{"claims with a byte order mark", es(header(), "\ufeff"+encode(claims())), "not well-formed JSON"},
		{"claims in Latin-1", es(header(), strings.Replace(encode(claims()), victim, "caf\xe9", 1)), "not UTF-8"},
		{"claims without a comma", es(header(), strings.Replace(encode(claims()), `",`, `" `, 1)), "not well-formed JSON"},

		// Form (RFC 7515, sections 3.1 and 7).
		{"nothing", "", notParts},
		{"with the scheme", "Bearer " + good, notBase64},
		{"line break at the end", good + "\n", notBase64},
		{"line break inside", good[:10] + "\n" + good[10:], notBase64},
		{"space at the end", good + " ", notBase64},
		{"padding", good + "==", notBase64},
		{"characters of standard base64", parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43), notBase64},
		{"odd last bits", lastBits(), notBase64},
		{"something behind", good + ".x", notParts},
		{"empty claims", parts[0] + ".." + parts[2], notBase64},
		{"encrypted token", strings.Join([]string{b64.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`)), "", "AAAA", "AAAA", "AAAA"}, "."), notParts},
		{"several signatures", encode(object{"payload": parts[1], "signatures": []object{{"protected": parts[0], "signature": parts[2]}, {"protected": parts[0], "signature": parts[2]}}}), notParts},
		{"one signature in JSON", encode(object{"payload": parts[1], "protected": parts[0], "signature": parts[2]}), notParts},
		{"huge", claim("x", strings.Repeat("x", token.MaxSize)), "it has more than 8192 bytes"},
		{"huge and no token", strings.Repeat(".", 1<<20), "it has more than 8192 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := verifier().Verify(t.Context(), tt.token)
			if claims != nil || !errors.Is(err, token.ErrInvalid) || errors.Is(err, token.ErrUnavailable) {
				t.Fatalf("claims %v, error %v; want ErrInvalid", claims, err)
			}
			if want := "token: not valid: " + tt.reason; err.Error() != want && !strings.HasPrefix(err.Error(), want+": ") {
				t.Errorf("error %q, want %q", err, want)
			}
			checkSilent(t, err.Error(), tt.token)
		})
	}
}

// TestAttackEdges plays the last moment that is taken and the first that is not.
func TestAttackEdges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims object
		maxAge time.Duration
		leeway time.Duration
		reason string // "" when the token must be taken
	}{
		{name: "without leeway, last moment", claims: claims().with("exp", float64(now.Unix())+0.000001), leeway: -1},
		{name: "without leeway, over", claims: claims().with("exp", now.Unix()), leeway: -1, reason: "it has expired"},
		{name: "without leeway, as early as allowed", claims: claims().with("nbf", now.Unix()).with("iat", now.Unix()), leeway: -1},
		{name: "without leeway, earlier", claims: claims().with("nbf", now.Unix()+1), leeway: -1, reason: "it is not valid yet"},
		{name: "last nanosecond before expiry and leeway", claims: claims().with("exp", float64(now.Unix()-30)+0.000001)},
		{name: "expiry and leeway over", claims: claims().with("exp", now.Unix()-30), reason: "it has expired"},
		{name: "as early as leeway allows", claims: claims().with("nbf", now.Unix()+30)},
		{name: "earlier", claims: claims().with("nbf", now.Unix()+31), reason: "it is not valid yet"},
		{name: "issuer's clock ahead by the leeway", claims: claims().with("iat", now.Unix()+30)},
		{name: "issuer's clock ahead by more", claims: claims().with("iat", now.Unix()+31), reason: "it was issued in the future"},
		{name: "as old as allowed", claims: claims().with("iat", now.Unix()-630), maxAge: 10 * time.Minute},
		{name: "older", claims: claims().with("iat", now.Unix()-631), maxAge: 10 * time.Minute, reason: "it was issued too long ago"},
		{name: "of unknown age", claims: claims().with("iat", nil), maxAge: 10 * time.Minute, reason: "it does not say when it was issued"},
		{name: "one of several audiences", claims: claims().with("aud", []string{"payments", audience})},
		{name: "as many actors as allowed", claims: claims().with("act", json.RawMessage(strings.Repeat(`{"sub":"a","act":`, 7)+`{"sub":"a"}`+strings.Repeat("}", 7)))},
		{name: "empty scope", claims: claims().with("scope", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verifier()
			v.MaxAge, v.Leeway = tt.maxAge, tt.leeway
			_, err := v.Verify(t.Context(), forge(header(), tt.claims, keys().ec))
			if tt.reason == "" && err != nil || tt.reason != "" && (err == nil || err.Error() != "token: not valid: "+tt.reason) {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
		})
	}
}

// TestAttackVerifier plays keys and settings that no Verifier may work with.
func TestAttackVerifier(t *testing.T) {
	k := keys()
	weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	even := &rsa.PublicKey{N: k.rsa.N, E: 65536}
	one := &rsa.PublicKey{N: k.rsa.N, E: 1}
	//lint:ignore SA1019 a point off the curve cannot be made otherwise
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for _, tt := range []struct {
		name   string
		change func(*token.Verifier)
		token  string
		reason string
	}{
		{"weak RSA key", func(v *token.Verifier) { v.Keys = token.StaticKeys{"rsa": weak} },
			forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), k.rsa), "token: not valid: the key does not fit the algorithm: not an RSA key of 2048 to 8192 bits"},
		{"RSA key with an even exponent", func(v *token.Verifier) { v.Keys = token.StaticKeys{"rsa": even} },
			forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), k.rsa), "token: not valid: the key does not fit the algorithm: not an RSA key with a usual exponent"},
		{"RSA key with exponent one", func(v *token.Verifier) { v.Keys = token.StaticKeys{"rsa": one} },
			forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), k.rsa), "token: not valid: the key does not fit the algorithm: not an RSA key with a usual exponent"},
		{"point off the curve", func(v *token.Verifier) { v.Keys = token.StaticKeys{"ec": off} },
			forge(header(), claims(), k.ec), "token: not valid: the key does not fit the algorithm: the point is not on the curve"},
		{"secret as a key", func(v *token.Verifier) { v.Keys = token.StaticKeys{"ec": []byte("secret")} },
			forge(header(), claims(), k.ec), "token: not valid: the key does not fit the algorithm: not a key on the algorithm's curve"},
		{"nil key", func(v *token.Verifier) { v.Keys = token.StaticKeys{"ec": (*ecdsa.PublicKey)(nil)} },
			forge(header(), claims(), k.ec), "token: not valid: the key does not fit the algorithm: not a key on the algorithm's curve"},
		{"HMAC allowed", func(v *token.Verifier) { v.Algorithms = []string{"HS256"} },
			forge(header().with("alg", "HS256"), claims(), []byte("secret")), `token.Verifier: algorithm "HS256" is none of a public key that is supported`},
		{"none allowed", func(v *token.Verifier) { v.Algorithms = []string{"none"} },
			forge(header().with("alg", "none"), claims(), k.ec), `token.Verifier: algorithm "none" is none of a public key that is supported`},
		{"no issuer", func(v *token.Verifier) { v.Issuer = "" },
			forge(header(), claims().with("iss", nil), k.ec), "token.Verifier needs Issuer, Audience and Keys"},
		{"no audience", func(v *token.Verifier) { v.Audience = "" },
			forge(header(), claims().with("aud", nil), k.ec), "token.Verifier needs Issuer, Audience and Keys"},
		{"no types", func(v *token.Verifier) { v.Types = []string{} },
			forge(header(), claims(), k.ec), "token: not valid: the type is not allowed"},
		{"default allows no RSA", func(v *token.Verifier) { v.Algorithms = nil },
			forge(header().with("alg", "RS256").with("kid", "rsa"), claims(), k.rsa), "token: not valid: the algorithm is not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verifier()
			tt.change(v)
			claims, err := v.Verify(t.Context(), tt.token)
			if claims != nil || err == nil || err.Error() != tt.reason {
				t.Errorf("claims %v, error %v; want %q", claims, err, tt.reason)
			}
		})
	}
}
