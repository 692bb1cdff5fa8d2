// Command notejournal records who changes which note.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/notebook/journal"
)

func main() { handler.Start(journal.FromEnv) }
