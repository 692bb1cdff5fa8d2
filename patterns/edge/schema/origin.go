package schema

// OriginHeader is the header with the secret by which an origin knows requests
// that came through an EdgeRouter. CloudFront sets it, whatever a client sent;
// it sets none that begins with x-edge- or x-amz-.
const OriginHeader = "x-origin-secret"

// EnvOriginSecret names the secret, for package origin.
const EnvOriginSecret = "ORIGIN_SECRET"
