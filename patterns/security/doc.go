// Package security holds the patterns in which a system acts with exactly the
// rights that a call needs: functions that act as their end user, tokens that
// never leave the house, and a check that no permission has slack.
//
//	user := security.NewImpersonation(stack, "AsUser", &security.ImpersonationProps{
//		Issuer: "https://id.example.com", Audience: "shop",
//	})
//	user.AddPermissionSet("read-own").GrantOwnItems(carts, nil)
//	user.GrantImpersonate(api)
//
// From a client to what is the user's:
//
//	client ── reference ──▶ HTTP API ──▶ authorizer ──▶ references, KMS
//	                           │ token for this function only
//	                           ▼
//	                        function ── token ──▶ broker ── AssumeRole, tagged ──▶ STS
//	                           │ ◀── credentials of the user
//	                           ├──▶ the user's items and objects, and no others
//	                           └── token ──▶ token exchange ── token for the next ──▶ next function
//
// What runs in Lambda beside these constructs is in packages that do not import
// the CDK: token (JWTs, verified and signed), exchange (tokens for the next
// hop), opaque (references for JWTs, at the door), inner (the door of a function
// behind it), broker (credentials for one user) and identity (the user's AWS
// configuration in a handler's context).
package security
