package construct

import (
	"testing"

	"github.com/aws/constructs-go/constructs/v10"
)

// thing stands for an object of the CDK; the tests need no kernel.
type thing struct {
	constructs.Construct
	reads int
}

func (x *thing) QueueArn() *string {
	x.reads++
	arn := "arn"
	return &arn
}

func TestOnceReadsEachObjectOnce(t *testing.T) {
	a, b := &thing{}, &thing{}
	if first, second := QueueArn(a), QueueArn(a); first != second {
		t.Error("the second is another")
	}
	QueueArn(b)
	if a.reads != 1 || b.reads != 1 {
		t.Errorf("read %d and %d times, want once each", a.reads, b.reads)
	}
}

func TestOnceTellsAttributesApart(t *testing.T) {
	x := &thing{}
	if Once(x, "a", func() int { return 1 }) == Once(x, "b", func() int { return 2 }) {
		t.Error("two attributes have one value")
	}
}

func TestSharedBelongsToATree(t *testing.T) {
	stack, other := &thing{}, &thing{}
	inner, innermost := &thing{}, &thing{}
	join(inner, stack, "Inner")
	join(innermost, inner, "Innermost")
	made := 0
	value := func(scope constructs.Construct) int {
		return Shared(scope, "value", func() int { made++; return made })
	}
	if value(innermost) != 1 || value(stack) != 1 || value(inner) != 1 {
		t.Error("a tree does not share")
	}
	if value(other) != 2 {
		t.Error("two trees share")
	}
}
