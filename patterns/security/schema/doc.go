// Package schema holds the names and settings that the constructs of package
// security share with the code that runs in Lambda. It imports the standard
// library only.
package schema
