// Package exchange exchanges tokens (RFC 8693) inside Lambda functions: an actor
// hands in the token that a subject sent it, and gets one with which it may call
// one other service for that subject, with no more rights than before.
//
// A Service decides and answers, as an http.Handler or behind any other
// transport. A Client asks for tokens where they are needed, hop by hop, so that
// each inner call carries a token for exactly the next function.
package exchange
