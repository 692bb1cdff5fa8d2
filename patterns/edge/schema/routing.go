package schema

// Headers that the edge sets on each request it sends to an origin. It drops
// every header with their prefix that a client sends, so that an origin which
// is reached through the edge alone may trust them. CloudFront reserves the
// prefix X-Edge-
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-functions-restrictions.html),
// hence another one here.
const (
	// RoutingPrefix begins the name of every header the edge sets.
	RoutingPrefix = "x-routing-"
	// RoutingJurisdiction carries the jurisdiction whose origin was chosen.
	RoutingJurisdiction = RoutingPrefix + "jurisdiction"
	// RoutingCountry carries the client's country; it is absent if unknown.
	RoutingCountry = RoutingPrefix + "country"
	// RoutingExperiments carries "experiment=variant" pairs, comma separated
	// and sorted by name; it is absent where the table has no experiments.
	RoutingExperiments = RoutingPrefix + "experiments"
)

// RoutingBinding is the name of the Workers KV namespace in the Worker's
// environment.
const RoutingBinding = "ROUTING"
