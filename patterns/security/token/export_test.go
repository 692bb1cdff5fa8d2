package token

// For tests outside the package.
var (
	ParseJWKS    = parseJWKS
	RawSignature = rawSignature
	ParseHeader  = parseHeader
)
