package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"slices"
	"strconv"
)

// band is what ANOMALY_DETECTION_BAND yields.
type band struct{ low, high float64 }

// evaluator evaluates metric math for one period. The value of a metric or
// expression is a float64 or a band; nil means no data.
type evaluator struct {
	value func(id string) (any, error)
	// history returns the values of a metric in the periods to learn from.
	history func(id string) ([]float64, error)
}

// eval evaluates an expression. CloudWatch's syntax is close enough to Go's for
// Go's own parser: identifiers, numbers, operators and calls.
func (e *evaluator) eval(expression string) (any, error) {
	tree, err := parser.ParseExpr(expression)
	if err != nil {
		return nil, fmt.Errorf("metric math %q: %w", expression, err)
	}
	v, err := e.node(tree)
	if err != nil {
		return nil, fmt.Errorf("metric math %q: %w", expression, err)
	}
	return v, nil
}

func (e *evaluator) node(n ast.Expr) (any, error) {
	switch n := n.(type) {
	case *ast.ParenExpr:
		return e.node(n.X)
	case *ast.BasicLit:
		if n.Kind == token.INT || n.Kind == token.FLOAT {
			return strconv.ParseFloat(n.Value, 64)
		}
	case *ast.Ident:
		return e.value(n.Name)
	case *ast.UnaryExpr:
		v, err := e.number(n.X)
		if v == nil || err != nil {
			return nil, err
		}
		if n.Op == token.SUB {
			return -*v, nil
		}
	case *ast.BinaryExpr:
		x, err := e.number(n.X)
		if err != nil {
			return nil, err
		}
		y, err := e.number(n.Y)
		if x == nil || y == nil || err != nil {
			return nil, err
		}
		return arithmetic(n.Op, *x, *y)
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok {
			return e.call(f.Name, n.Args)
		}
	}
	return nil, fmt.Errorf("%T is not supported", n)
}

// number evaluates to a number, nil without data.
func (e *evaluator) number(n ast.Expr) (*float64, error) {
	v, err := e.node(n)
	if v == nil || err != nil {
		return nil, err
	}
	f, ok := v.(float64)
	if !ok {
		return nil, fmt.Errorf("a band is no number")
	}
	return &f, nil
}

func arithmetic(op token.Token, x, y float64) (any, error) {
	truth := func(b bool) (any, error) {
		if b {
			return 1.0, nil
		}
		return 0.0, nil
	}
	switch op {
	case token.ADD:
		return x + y, nil
	case token.SUB:
		return x - y, nil
	case token.MUL:
		return x * y, nil
	case token.QUO:
		if y == 0 {
			return nil, nil // CloudWatch leaves such a point out
		}
		return x / y, nil
	case token.GTR:
		return truth(x > y)
	case token.LSS:
		return truth(x < y)
	case token.GEQ:
		return truth(x >= y)
	case token.LEQ:
		return truth(x <= y)
	case token.EQL:
		return truth(x == y)
	case token.NEQ:
		return truth(x != y)
	case token.LAND:
		return truth(x != 0 && y != 0)
	case token.LOR:
		return truth(x != 0 || y != 0)
	}
	return nil, fmt.Errorf("operator %s is not supported", op)
}

func (e *evaluator) call(name string, args []ast.Expr) (any, error) {
	switch {
	case name == "ANOMALY_DETECTION_BAND" && len(args) >= 1:
		return e.anomalyBand(args)
	case name == "IF" && (len(args) == 2 || len(args) == 3):
		condition, err := e.number(args[0])
		if condition == nil || err != nil {
			return nil, err
		}
		if *condition != 0 {
			return e.node(args[1])
		}
		if len(args) == 2 {
			return nil, nil
		}
		return e.node(args[2])
	case name == "FILL" && len(args) == 2:
		v, err := e.node(args[0])
		if v != nil || err != nil {
			return v, err
		}
		return e.node(args[1])
	}
	var numbers []float64
	for _, a := range args {
		v, err := e.number(a)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		numbers = append(numbers, *v)
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	first := numbers[0]
	switch name {
	case "ABS":
		return math.Abs(first), nil
	case "CEIL":
		return math.Ceil(first), nil
	case "FLOOR":
		return math.Floor(first), nil
	case "MAX", "MIN", "SUM", "AVG":
		all := first
		for _, v := range numbers[1:] {
			switch name {
			case "MAX":
				all = max(all, v)
			case "MIN":
				all = min(all, v)
			default:
				all += v
			}
		}
		if name == "AVG" {
			all /= float64(len(numbers))
		}
		return all, nil
	}
	return nil, fmt.Errorf("function %s is not supported", name)
}

// training is how many periods with data the band needs.
const training = 3

// anomalyBand stands for CloudWatch's model, which learns trend and season from
// two weeks and is not thrown off by a few outliers. Here the band is the median
// of the periods before those that the alarm looks at, plus and minus the given
// number of deviations (2 by default); the deviation is estimated from the median
// of the absolute ones. It counts as at least a fifth of the median, for a test's
// load is far more even than that of customers.
func (e *evaluator) anomalyBand(args []ast.Expr) (any, error) {
	metric, ok := args[0].(*ast.Ident)
	if !ok {
		return nil, fmt.Errorf("ANOMALY_DETECTION_BAND takes the id of a metric or expression")
	}
	width := 2.0
	if len(args) > 1 {
		w, err := e.number(args[1])
		if err != nil {
			return nil, err
		}
		width = *w
	}
	past, err := e.history(metric.Name)
	if err != nil || len(past) < training {
		return nil, err
	}
	middle := median(past)
	distances := make([]float64, len(past))
	for i, v := range past {
		distances[i] = math.Abs(v - middle)
	}
	// The factor makes it the standard deviation of what is normally distributed.
	deviation := max(1.4826*median(distances), math.Abs(middle)/5)
	return band{middle - width*deviation, middle + width*deviation}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
