package command

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/flashsale"
	"github.com/serverless-go/cdk/functions/flashsale/cart"
)

// key tells a command that is sent again from another one. It is what
// draft-ietf-httpapi-idempotency-key-header calls the idempotency key and the
// idempotency fingerprint. Events carry both for ever, as their causation.
type key struct {
	id          string // of who sent which key, and of the cart that it opens
	fingerprint string // of what was requested
}

var keySyntax = regexp.MustCompile(`^[!-~]{1,128}$`)

// keyOf returns the key of a request. Without the header Idempotency-Key every
// request is a command of its own.
func keyOf(r *api.Request) (key, error) {
	sent, ok := r.Headers["idempotency-key"]
	switch {
	case !ok:
		sent = rand.Text()
	case !keySyntax.MatchString(sent):
		return key{}, &api.Problem{Status: http.StatusBadRequest,
			Detail: "Idempotency-Key must have 1 to 128 visible ASCII characters and no spaces; a UUID is best."}
	}
	return key{
		id: api.Digest(r.Caller, sent),
		// A body can hold an e-mail address. A hash of it alone could be reversed
		// by trying addresses, even after the customer is forgotten; the key that
		// was sent, which is kept nowhere, prevents that.
		fingerprint: api.Digest(sent, r.RouteKey, r.PathParameters[flashsale.CartParameter], r.Body),
	}, nil
}

// command returns the key as the id of a command.
func (k key) command() string { return k.id + "." + k.fingerprint }

// obeyed returns the version of the event that the command has led to, 0 if it
// is new. Its error is a *api.Problem: the key was sent with another command.
func (k key) obeyed(commands []cart.Command) (int64, error) {
	for _, done := range commands {
		id, fingerprint, _ := strings.Cut(done.ID, ".")
		switch {
		case id != k.id:
		case fingerprint == k.fingerprint:
			return done.Version, nil
		default:
			return 0, &api.Problem{Type: api.ProblemType("key-reused"), Status: http.StatusUnprocessableEntity,
				Detail: fmt.Sprintf("This Idempotency-Key was sent with another request, which led to version %d of the cart.", done.Version)}
		}
	}
	return 0, nil
}
