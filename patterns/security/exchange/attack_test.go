package exchange_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serverless-go/cdk/patterns/security/exchange"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// TestAttackExchange plays requests that must be refused, each with the code and
// the words that are stated.
func TestAttackExchange(t *testing.T) {
	w := newWorld(t)
	user := w.user(nil)
	mallory := newAuthority(idp)
	hop, _ := w.must(t, "role/gateway", "orders", ask(user, "orders"))
	hop2, _ := w.must(t, "role/orders", "payments", ask(hop, "payments"))
	hop3, _ := w.must(t, "", "bank", ask(hop2, "bank", "actor_token", w.actor("payments"), "actor_token_type", exchange.JWT))
	repeat := func(v url.Values, name, value string) url.Values {
		v.Add(name, value)
		return v
	}
	const (
		subject   = "subject_token is not valid"
		actor     = "actor_token is not valid"
		mayNot    = "subject_token does not allow this actor"
		wider     = "scope is wider than the subject_token's or than this actor may have"
		forbidden = "this actor may not have tokens for this audience"
	)
	for _, tt := range []struct {
		name, client      string
		form              url.Values
		code, description string
	}{
		// Who asks.
		{"nobody", "", ask(user, "orders"), exchange.InvalidClient, "nobody is known to act: actor_token is missing"},
		{"a client that is no actor", "role/evil", ask(user, "orders"), exchange.InvalidClient, "this client is not an actor"},
		{"a client that is no actor, with an actor's token", "role/evil", ask(user, "orders", "actor_token", w.actor("gateway"), "actor_token_type", exchange.JWT),
			exchange.InvalidClient, "this client is not an actor"},
		{"a client with another actor's token", "role/orders", ask(user, "orders", "actor_token", w.actor("gateway"), "actor_token_type", exchange.JWT),
			exchange.InvalidClient, "actor_token is not of this client"},
		{"client named in the form", "", repeat(ask(user, "orders"), "client_id", "role/gateway"), exchange.InvalidClient, "nobody is known to act: actor_token is missing"},
		{"user's token as actor token", "", ask(user, "orders", "actor_token", user, "actor_token_type", exchange.JWT), exchange.InvalidRequest, actor},
		{"actor token signed by somebody else", "", ask(user, "orders", "actor_token", (&authority{actors, mallory.key}).sign("at+jwt", object{"sub": "gateway", "aud": "exchange"}),
			"actor_token_type", exchange.JWT), exchange.InvalidRequest, actor},
		{"actor token for another audience", "", ask(user, "orders", "actor_token", w.actors.sign("at+jwt", object{"sub": "gateway", "aud": "orders"}),
			"actor_token_type", exchange.JWT), exchange.InvalidRequest, actor},
		{"actor token of another who acts for the actor", "", ask(user, "orders", "actor_token", w.actors.sign("at+jwt", object{"sub": "gateway", "aud": "exchange", "act": object{"sub": "evil"}}),
			"actor_token_type", exchange.JWT), exchange.InvalidRequest, "actor_token must be the actor's own"},
		{"actor token bound to a key", "", ask(user, "orders", "actor_token", w.actors.sign("at+jwt", object{"sub": "gateway", "aud": "exchange", "cnf": object{"jkt": "x"}}),
			"actor_token_type", exchange.JWT), exchange.InvalidRequest, "actor_token is bound to a key"},
		{"actor token of an unknown type", "", ask(user, "orders", "actor_token", w.actor("gateway"), "actor_token_type", "urn:ietf:params:oauth:token-type:saml2"),
			exchange.InvalidRequest, "actor_token of this type is not taken"},
		{"actor token without its type", "", ask(user, "orders", "actor_token", w.actor("gateway")), exchange.InvalidRequest, "actor_token_type is missing"},
		{"actor token's type without it", "role/gateway", ask(user, "orders", "actor_token_type", exchange.JWT), exchange.InvalidRequest, "actor_token_type is given without actor_token"},

		// Whose token.
		{"token sent to another actor", "role/orders", ask(user, "payments"), exchange.InvalidRequest, subject},
		{"token for the next hop, by the hop before", "role/gateway", ask(hop, "orders"), exchange.InvalidRequest, subject},
		{"token signed by somebody else", "role/gateway", ask(mallory.sign("at+jwt", object{"sub": "admin", "aud": "gateway", "scope": "read"}), "orders"), exchange.InvalidRequest, subject},
		{"own issuer's token signed by somebody else", "role/orders", ask((&authority{ours, mallory.key}).sign("at+jwt", object{"sub": "admin", "aud": "orders"}), "payments"), exchange.InvalidRequest, subject},
		{"token of an unknown issuer", "role/gateway", ask(newAuthority("https://evil.example.com").sign("at+jwt", object{"sub": "admin", "aud": "gateway"}), "orders"),
			exchange.InvalidRequest, "subject_token of this issuer and type is not taken"},
		{"ID token as access token", "role/gateway", ask(w.idp.sign("JWT", object{"sub": victim, "aud": "gateway"}), "orders"), exchange.InvalidRequest, subject},
		{"access token as ID token", "role/gateway", ask(user, "orders", "subject_token_type", exchange.IDToken), exchange.InvalidRequest, "subject_token of this issuer and type is not taken"},
		{"ID token called access token", "role/gateway", ask(w.second.sign("JWT", object{"sub": victim, "aud": "gateway"}), "orders"), exchange.InvalidRequest, "subject_token of this issuer and type is not taken"},
		{"unknown token type", "role/gateway", ask(user, "orders", "subject_token_type", "urn:example:mine"), exchange.InvalidRequest, "subject_token of this issuer and type is not taken"},
		{"expired token", "role/gateway", ask(w.user(object{"exp": time.Now().Unix() - 60}), "orders"), exchange.InvalidRequest, subject},
		{"token expired within the leeway", "role/gateway", ask(w.user(object{"exp": time.Now().Unix() - 5}), "orders"), exchange.InvalidRequest, "subject_token has expired"},
		{"token bound to a key", "role/gateway", ask(w.user(object{"cnf": object{"jkt": "x"}}), "orders"), exchange.InvalidRequest, "subject_token is bound to a key"},
		{"no token", "role/gateway", ask("not-a-token", "orders"), exchange.InvalidRequest, subject},
		{"oversize token", "role/gateway", ask(strings.Repeat("a", token.MaxSize+1), "orders"), exchange.InvalidRequest, subject},

		// Who vouches: what cannot be carried on would make one subject of two.
		{"provider that is no string", "role/gateway", ask(w.user(object{"idp": []string{idp}}), "orders"), exchange.InvalidRequest, "subject_token names no provider"},
		{"provider that is empty", "role/gateway", ask(w.user(object{"idp": ""}), "orders"), exchange.InvalidRequest, "subject_token names no provider"},
		{"provider with an invisible character", "role/gateway", ask(w.user(object{"idp": idp + "\u200b"}), "orders"), exchange.InvalidRequest, "subject_token names no provider"},

		// may_act (RFC 8693, section 4.4).
		{"may_act names another actor", "role/gateway", ask(w.user(object{"may_act": object{"sub": "orders"}}), "orders"), exchange.InvalidRequest, mayNot},
		{"may_act names another issuer", "role/gateway", ask(w.user(object{"may_act": object{"sub": "gateway", "iss": actors}}), "orders"), exchange.InvalidRequest, mayNot},
		{"may_act has a member that is not known", "role/gateway", ask(w.user(object{"may_act": object{"sub": "gateway", "email": "a@example.com"}}), "orders"), exchange.InvalidRequest, mayNot},
		{"may_act without a subject", "role/gateway", ask(w.user(object{"may_act": object{}}), "orders"), exchange.InvalidRequest, mayNot},
		{"may_act is a string", "role/gateway", ask(w.user(object{"may_act": "gateway"}), "orders"), exchange.InvalidRequest, mayNot},
		{"may_act is a list", "role/gateway", ask(w.user(object{"may_act": []object{{"sub": "gateway"}}}), "orders"), exchange.InvalidRequest, mayNot},

		// act (RFC 8693, section 4.1).
		{"chain that would get too long", "role/gateway", ask(w.user(object{"act": object{"sub": "a", "act": object{"sub": "b", "act": object{"sub": "c"}}}}), "orders"),
			exchange.InvalidRequest, "more than 3 actors would have acted"},
		{"chain forged without end", "role/gateway", ask(w.user(object{"act": json.RawMessage(strings.Repeat(`{"sub":"a","act":`, 50) + `{"sub":"a"}` + strings.Repeat("}", 50))}), "orders"),
			exchange.InvalidRequest, subject},
		{"chain with an actor of ours that we never named", "role/gateway", ask(w.user(object{"act": object{"sub": "payments", "iss": ours}}), "orders"),
			exchange.InvalidRequest, "subject_token names an actor of this issuer"},
		{"actor in the form", "role/gateway", repeat(ask(w.user(object{"act": "admin"}), "orders"), "act", `{"sub":"admin"}`), exchange.InvalidRequest, subject},

		// Audience (RFC 8707, section 2).
		{"audience that is not allowed", "role/gateway", ask(user, "payments"), exchange.InvalidTarget, forbidden},
		{"audience of another actor", "role/orders", ask(hop, "bank"), exchange.InvalidTarget, forbidden},
		{"audience with a wildcard", "role/gateway", ask(user, "*"), exchange.InvalidTarget, forbidden},
		{"audience in upper case", "role/gateway", ask(user, "ORDERS"), exchange.InvalidTarget, forbidden},
		{"audience with a space", "role/gateway", ask(user, "orders "), exchange.InvalidTarget, forbidden},
		{"actor and audience run together", "role/gateway", ask(user, "gateway\x00orders"), exchange.InvalidTarget, forbidden},
		{"two audiences", "role/gateway", repeat(ask(user, "orders"), "audience", "payments"), exchange.InvalidTarget, "more than one audience is named"},
		{"audience and resource", "role/gateway", ask(user, "orders", "resource", "https://api.example.com/catalog"), exchange.InvalidTarget, "audience and resource name two targets"},
		{"two resources", "role/gateway", repeat(ask(user, "", "audience", "", "resource", "https://api.example.com/catalog"), "resource", "https://evil.example.com"), exchange.InvalidTarget, "more than one resource is named"},
		{"resource with a fragment", "role/gateway", ask(user, "", "audience", "", "resource", "https://api.example.com/catalog#x"), exchange.InvalidTarget, "resource must be an absolute URI without a fragment"},
		{"relative resource", "role/gateway", ask(user, "", "audience", "", "resource", "orders"), exchange.InvalidTarget, "resource must be an absolute URI without a fragment"},
		{"resource that is not allowed", "role/gateway", ask(user, "", "audience", "", "resource", "https://api.example.com/catalog/../admin"), exchange.InvalidTarget, forbidden},
		{"no audience", "role/gateway", ask(user, "", "audience", ""), exchange.InvalidRequest, "audience or resource is missing"},

		// Scope (RFC 6749, section 3.3).
		{"scope that the subject lacks", "role/gateway", ask(w.user(object{"scope": "read"}), "orders", "scope", "read write"), exchange.InvalidScope, wider},
		{"scope that the rule lacks", "role/gateway", ask(user, "orders", "scope", "read delete"), exchange.InvalidScope, wider},
		{"scope that nobody has", "role/gateway", ask(user, "orders", "scope", "admin"), exchange.InvalidScope, wider},
		{"scope of a subject without any", "role/gateway", ask(w.user(object{"scope": nil}), "orders", "scope", "read"), exchange.InvalidScope, wider},
		{"scope with a wildcard", "role/gateway", ask(user, "orders", "scope", "*"), exchange.InvalidScope, wider},
		{"scope in upper case", "role/gateway", ask(user, "orders", "scope", "READ"), exchange.InvalidScope, wider},
		{"scope regained at the next hop", "role/orders", ask(hop, "payments", "scope", "delete"), exchange.InvalidScope, wider},
		{"scope regained two hops on", "", ask(hop2, "bank", "scope", "write", "actor_token", w.actor("payments"), "actor_token_type", exchange.JWT), exchange.InvalidScope, wider},
		{"scope with a line break", "role/gateway", ask(user, "orders", "scope", "read\nwrite"), exchange.InvalidScope, "scope is no list of scopes separated by single spaces"},
		{"scope with a quote", "role/gateway", ask(user, "orders", "scope", `read","admin`), exchange.InvalidScope, "scope is no list of scopes separated by single spaces"},

		// Form (RFC 6749, section 3.2).
		{"other grant type", "role/gateway", ask(user, "orders", "grant_type", "client_credentials"), exchange.UnsupportedGrantType, "grant_type must be " + exchange.GrantType},
		{"no grant type", "role/gateway", ask(user, "orders", "grant_type", ""), exchange.InvalidRequest, "grant_type is missing"},
		{"subject token twice", "role/gateway", repeat(ask(user, "orders"), "subject_token", hop3), exchange.InvalidRequest, "subject_token is given more than once"},
		{"scope twice", "role/gateway", repeat(ask(user, "orders", "scope", "read"), "scope", "write"), exchange.InvalidRequest, "scope is given more than once"},
		{"no subject token", "role/gateway", ask("", "orders", "subject_token", ""), exchange.InvalidRequest, "subject_token is missing"},
		{"no subject token's type", "role/gateway", ask(user, "orders", "subject_token_type", ""), exchange.InvalidRequest, "subject_token_type is missing"},
		{"refresh token wanted", "role/gateway", ask(user, "orders", "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
			exchange.InvalidRequest, "requested_token_type must be that of an access token or a JWT"},
		{"not UTF-8", "role/gateway", ask(user, "orders\xff"), exchange.InvalidRequest, "audience is not UTF-8"},
		{"oversize form", "role/gateway", repeat(ask(user, "orders"), "x", strings.Repeat("x", exchange.MaxForm)), exchange.InvalidRequest, "the body has more than 24576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.log.Reset()
			signed := w.double.Calls("Sign")
			a := w.respond(tt.client, tt.form)
			var got map[string]string
			if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != http.StatusBadRequest || len(got) != 2 ||
				got["error"] != tt.code || got["error_description"] != tt.description {
				t.Errorf("status %d, %s; want %s: %s", a.Status, a.Body, tt.code, tt.description)
			}
			if a.Header["Cache-Control"] != "no-store" || a.Header["Pragma"] != "no-cache" || a.Header["Content-Type"] != "application/json" {
				t.Errorf("headers %v", a.Header)
			}
			if n := w.double.Calls("Sign"); n != signed {
				t.Error("a token was signed")
			}
			tokens := []string{tt.form.Get("subject_token"), tt.form.Get("actor_token"), user}
			checkSilent(t, string(a.Body), tokens...)
			checkSilent(t, w.log.String(), tokens...)
			if !strings.Contains(w.log.String(), tt.code) {
				t.Errorf("log %q does not tell of the refusal", w.log)
			}
			// RFC 6749, section 5.2, allows no others in a description.
			if strings.ContainsFunc(tt.description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
				t.Errorf("description %q has characters that are not allowed", tt.description)
			}
		})
	}
}

// TestAttackTransport plays requests whose form cannot even be read.
func TestAttackTransport(t *testing.T) {
	w := newWorld(t)
	good := ask(w.user(nil), "orders").Encode()
	ctx := exchange.WithClient(t.Context(), "role/gateway")
	if a := w.service.Respond(ctx, http.MethodPost, "", form+"; charset=utf-8", []byte(good)); a.Status != http.StatusOK {
		t.Fatalf("the request that all others differ from: %s", a.Body)
	}
	for _, tt := range []struct {
		name, method, query, contentType, body string
		status                                 int
		description                            string
	}{
		{"GET", http.MethodGet, good, "", "", 405, "the method must be POST"},
		{"tokens in the URL", http.MethodPost, good, form, "", 400, "parameters must be in the body"},
		{"JSON", http.MethodPost, "", "application/json", `{"grant_type":"` + exchange.GrantType + `"}`, 400, "the body must be application/x-www-form-urlencoded"},
		{"no type", http.MethodPost, "", "", good, 400, "the body must be application/x-www-form-urlencoded"},
		{"two types", http.MethodPost, "", form + "," + form, good, 400, "the body must be application/x-www-form-urlencoded"},
		{"multipart", http.MethodPost, "", "multipart/form-data; boundary=x", good, 400, "the body must be application/x-www-form-urlencoded"},
		{"broken escape", http.MethodPost, "", form, good + "&x=%zz", 400, "the body is not a well-formed form"},
		{"semicolon", http.MethodPost, "", form, good + ";audience=payments", 400, "the body is not a well-formed form"},
		{"nothing", http.MethodPost, "", form, "", 400, "grant_type is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.service.Respond(ctx, tt.method, tt.query, tt.contentType, []byte(tt.body))
			var got map[string]string
			if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != tt.status || got["error"] != exchange.InvalidRequest || got["error_description"] != tt.description {
				t.Errorf("status %d, %s", a.Status, a.Body)
			}
			if a.Header["Cache-Control"] != "no-store" {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
}

func FuzzForm(f *testing.F) {
	f.Add(form, ask("a.b.c", "orders", "scope", "read write").Encode())
	f.Add(form, ask("a.b.c", "", "audience", "", "resource", "https://api.example.com").Encode())
	f.Add(form+"; charset=utf-8", "grant_type=%&;=&audience=a&audience=b")
	f.Add("text/plain", "")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r, err := exchange.ParseForm(contentType, []byte(body))
		if (r == nil) != (err != nil) {
			t.Fatalf("request %v and error %v", r, err)
		}
		if err != nil {
			return
		}
		if r.SubjectToken == "" || r.SubjectTokenType == "" || r.Audience == "" || (r.ActorToken == "") != (r.ActorTokenType == "") {
			t.Errorf("an incomplete request is taken: %+v", r)
		}
		for _, s := range r.Scope {
			if !token.IsScope(s) {
				t.Errorf("scope %q is taken", s)
			}
		}
	})
}
