// Package schema holds the names that the constructs of package edge share with
// the code that runs at the edge and in Lambda. It imports the standard library
// only.
package schema
