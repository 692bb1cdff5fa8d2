// Package neptune asks a Neptune cluster to load files and to answer openCypher
// queries, and a graph of Neptune Analytics to answer such queries. Every
// request is signed by Signature Version 4, as IAM authentication demands.
//
// It runs in Lambda, without the CDK:
//
//	cluster := &neptune.Cluster{Endpoint: endpoint, Region: cfg.Region, Credentials: cfg.Credentials}
//	var likes []struct{ Name string }
//	err := cluster.Query(ctx, "MATCH (:Customer {name: $who})-[:LIKES]->(p) RETURN p.name AS name",
//		map[string]any{"who": "Ada"}, &likes)
//
// The AWS SDK has clients for the same calls; they return results as untyped
// documents and decode nothing.
package neptune
