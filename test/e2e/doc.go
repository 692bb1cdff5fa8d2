// Package e2e runs a synthesized stack on one machine and lets a test drive it.
//
// Deploy reads a template and its assets out of a cloud assembly, makes the
// tables, queues, topics and buckets in real engines (DynamoDB Local, fauxqs)
// from the template's own properties, starts the built handlers as processes
// under a Lambda Runtime API on loopback, and moves records between them as the
// template's pipes, rules, targets and event source mappings say.
//
// Every call, of a handler through its AWS SDK and of a service in the name of
// its role, is allowed or refused by the policies in the template, which
// test/iam evaluates. A template that forgets a permission fails here as it
// would in the cloud.
//
// # Time
//
// Waiting times that the template states (retry intervals, visibility
// time-outs after a failure, batching windows, Wait states) are divided by
// Options.Speed. Time-outs of functions are not, for a process needs its real
// time; Options.Patience makes them longer. A process that Faults is to kill is
// told a deadline some seconds away, and the retry comes no sooner than that
// where it would not in AWS. Metrics and alarms live in virtual
// minutes that Deployment.Advance moves.
//
// # What is not real
//
// A function's processes are kept for the life of the deployment. Rules and
// pipes are code of this package. Anomaly detection is a band around the mean of
// the periods seen so far. Resources that no file here drives are listed by
// Deployment.Undriven, so that a test can assert that it knows them all.
package e2e
