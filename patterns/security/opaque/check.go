package opaque

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serverless-go/cdk/patterns/security/schema"
	"github.com/serverless-go/cdk/patterns/security/token"
)

// Bounds of what a reference stands for. They keep an item within 4 KB and the
// JWT, which API Gateway hands on in the request's context, within a few.
const (
	MaxScope    = 1_000 // bytes of all scopes, with spaces between
	MaxAudience = 10
	maxName     = 100 // characters
	maxText     = 256 // bytes of any other text
)

// check returns an error that wraps ErrInvalid unless the reference can be
// issued.
func (s *Store) check(in *Issue) error {
	if err := checkOwner(in.Owner); err != nil {
		return err
	}
	if err := checkText("the subject", in.Subject, 1); err != nil {
		return err
	}
	for name, v := range map[string]string{"the provider": in.Provider, "the tenant": in.Tenant, "the client": in.Client, "the key": in.Key} {
		if err := checkText(name, v, 0); err != nil {
			return err
		}
	}
	if err := checkText("the name", in.Name, 0); err != nil || utf8.RuneCountInString(in.Name) > maxName {
		return fmt.Errorf("%w: the name must be visible text of at most %d characters", ErrInvalid, maxName)
	}
	if len(in.Audience) == 0 || len(in.Audience) > MaxAudience {
		return fmt.Errorf("%w: there must be 1 to %d audiences", ErrInvalid, MaxAudience)
	}
	for _, a := range in.Audience {
		if err := checkText("an audience", a, 1); err != nil {
			return err
		}
	}
	for _, scope := range in.Scope {
		if !token.IsScope(scope) {
			return fmt.Errorf("%w: a scope has characters that no scope has", ErrInvalid)
		}
	}
	if len(strings.Join(in.Scope, " ")) > MaxScope {
		return fmt.Errorf("%w: the scopes are longer than %d bytes", ErrInvalid, MaxScope)
	}
	if in.Life < time.Second || in.Life > s.maxLife() {
		return fmt.Errorf("%w: a reference lives one second to %s", ErrInvalid, s.maxLife())
	}
	return nil
}

func checkOwner(owner string) error { return checkText("the owner", owner, 1) }

// checkText refuses what no token could say, for then every use of the reference
// would fail, and what cannot be shown or keyed safely. It never repeats the text.
func checkText(what, s string, least int) error {
	if len(s) < least || len(s) > maxText || !schema.Visible(s) {
		return fmt.Errorf("%w: %s must be visible text of %d to %d bytes", ErrInvalid, what, least, maxText)
	}
	return nil
}
