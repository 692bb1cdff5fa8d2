// Command notes answers for users' notes and files, with the users' own rights.
package main

import (
	"github.com/serverless-go/cdk/functions/internal/handler"
	"github.com/serverless-go/cdk/functions/notebook/notes"
)

func main() { handler.Start(notes.FromEnv) }
