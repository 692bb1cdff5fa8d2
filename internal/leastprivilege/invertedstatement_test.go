package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestInvertedStatement(t *testing.T) {
	catches(t, leastprivilege.InvertedStatement, map[string]planted{
		"action":    {role(`{"Effect":"Allow","NotAction":"iam:CreateUser","Resource":` + queueARN + `}`), "PolicyDocument.Statement[0].NotAction", "iam:CreateUser"},
		"resource":  {role(`{"Effect":"Allow","Action":"sqs:SendMessage","NotResource":` + queueARN + `}`), "PolicyDocument.Statement[0].NotResource", "orders"},
		"principal": {queue(rightQueue, denyHTTP+`,{"Effect":"Allow","NotPrincipal":{"AWS":"444455556666"},"Action":"sqs:SendMessage","Resource":"*"}`), "PolicyDocument.Statement[1].NotPrincipal.AWS", "444455556666"},
	})
	spares(t, leastprivilege.InvertedStatement, map[string]string{
		"denied": role(`{"Effect":"Deny","NotAction":"iam:*","Resource":"*"}`),
	})
}
