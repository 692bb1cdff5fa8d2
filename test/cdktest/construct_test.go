package cdktest

import (
	"strings"
	"testing"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

type shop struct{ constructs.Construct }

func (s *shop) Open() bool { return true }

func TestIsConstruct(t *testing.T) {
	stack := NewStack(t)
	known := func(id string) constructs.Construct {
		s := &shop{}
		constructs.NewConstruct_Override(s, stack, &id)
		return s
	}
	IsConstruct(t, known("A"), known("B"))
}

func TestIsConstructFails(t *testing.T) {
	stack := NewStack(t)
	unknown := &shop{constructs.NewConstruct(stack, jsii.String("Shop"))}
	messages := failing(t, func(t testing.TB) { IsConstruct(t, unknown) })
	if len(messages) != 1 || !strings.Contains(messages[0], "it is no construct") {
		t.Errorf("an embedded construct is reported as %q", messages)
	}
}
