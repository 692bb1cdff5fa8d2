// Package regionloss plays through, over the synthesized templates of the
// health watch, what happens when regions fail.
//
// The model is read from the templates: the edge's origins and entries, Route
// 53's records and health checks, API routes, buses, archives, rules, the global
// endpoint with its health check and role, queues and event source mappings,
// and the functions' environments. The functions' own packages run in it, on
// DynamoDB Local. What AWS does in between is written here after its
// documentation: an outage takes with it what is under way in the region, and
// leaves archives, queues and tables; replication and delivery are late,
// doubled and out of order.
//
// Its tests also break the templates, and require that the simulation sees it.
package regionloss
