// Package edge holds the patterns of systems that run in several regions and
// at the edge: a stack per region that stands alone, an API in each with names
// that follow the regions' health, a table and an ingestion that outlive a
// region, and the check that data stays where the law wants it.
//
//	edge.NewMultiRegion(app, "Health", &edge.MultiRegionProps{
//		Regions: []string{"eu-west-1", "eu-central-1"},
//		Resources: func(r *edge.Region) {
//			api := edge.NewRegionalAPI(r.Stack(), "API", nil)
//			api.AddRoutes("Readings", &edge.RoutesProps{Function: take, Routes: []string{"POST /readings"}})
//			api.AddQueueDependency("readings", queue, nil) // GET /health fails when it does
//		},
//	})
//
// No region refers to another: they meet by names that all of them know.
//
//	                 ┌▶ Route 53 ─▶ region A: API ─▶ functions ─▶ replica ◀┐
//	client ─▶ edge ──┤               │ GET /health                         ├ global table
//	        (routing)└▶ Route 53 ─▶ region B: API ─▶ functions ─▶ replica ◀┘
//	readings ─▶ global endpoint ─▶ bus A (archive) ◀─ replication ─▶ bus B (archive)
//
// Package routing holds the decision at the edge, one source that it compiles
// for CloudFront Functions and for Cloudflare Workers. What runs in Lambda
// beside these constructs is in packages that do not import the CDK: health (an
// API's health check), home (a home region per stream), ingest (events put and
// applied once), alerts (local alerts) and cloudflare (the deployment of
// Workers).
package edge
