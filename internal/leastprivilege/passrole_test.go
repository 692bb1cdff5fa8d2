package leastprivilege_test

import (
	"testing"

	"github.com/serverless-go/cdk/internal/leastprivilege"
)

func TestPassRole(t *testing.T) {
	pass := func(action, condition string) string {
		return role(`{"Effect":"Allow","Action":` + action + `,"Resource":{"Fn::GetAtt":["Role","Arn"]},"Condition":` + condition + `}`)
	}
	catches(t, leastprivilege.PassRole, map[string]planted{
		"no condition":      {pass(`"iam:PassRole"`, `{}`), "PolicyDocument.Statement[0].Action", "iam:PassRole"},
		"any service":       {pass(`["states:StartExecution","iam:passrole"]`, `{"StringLike":{"iam:PassedToService":"*"}}`), "PolicyDocument.Statement[0].Action[1]", "iam:passrole"},
		"if there is one":   {pass(`"iam:PassRole"`, `{"StringEqualsIfExists":{"iam:PassedToService":"glue.amazonaws.com"}}`), "PolicyDocument.Statement[0].Action", "iam:PassRole"},
		"all but a service": {pass(`"iam:PassRole"`, `{"StringNotEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`), "PolicyDocument.Statement[0].Action", "iam:PassRole"},
	})
	spares(t, leastprivilege.PassRole, map[string]string{
		"one service": pass(`"iam:PassRole"`, `{"StringEquals":{"iam:PassedToService":"glue.amazonaws.com"}}`),
	})
}
