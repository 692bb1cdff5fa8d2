package planner_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/serverless-go/cdk/patterns/coldstart/planner"
)

// A clinic's booking system: patients come from eight to eight on working days
// and hardly at other times, so quiet hours are not held to the bound.
func Example() {
	clinic := planner.Profile{
		Zone:      "Europe/Paris",
		Duration:  planner.LogNormal{Median: time.Second, P99: 8 * time.Second},
		ColdStart: planner.Constant(900 * time.Millisecond),
		Memory:    1024,
	}
	for day := time.Monday; day <= time.Friday; day++ {
		clinic.Arrivals.Set(day, 0, 24, 20)
		clinic.Arrivals.Set(day, 8, 12, 3000)
		clinic.Arrivals.Set(day, 12, 14, 1200)
		clinic.Arrivals.Set(day, 14, 20, 2400)
	}

	plan, err := planner.Planner{Bound: 0.001, Quiet: 100}.Plan(clinic)
	if err != nil {
		panic(err)
	}
	fmt.Print(plan)
	fmt.Println(plan.Schedule)
	// Output:
	//        strategy  ready  USD/month  worst hour  overall  keeps 0.1 %
	//           nothing      0      12.72      0.51 %   0.49 %           no
	//         always on      7      68.81     0.024 %  0.013 %          yes
	//   target tracking    1-8      33.79     0.057 %  0.036 %          yes
	//           planned    0-7      26.99     0.045 %    0.2 %          yes
	// MON-FRI 08:00-12:00 Europe/Paris: 7
	// MON-FRI 12:00-14:00 Europe/Paris: 5
	// MON-FRI 14:00-20:00 Europe/Paris: 6
}

// Invocations as CloudWatch counted them: in the console, graph the sum of the
// function's Invocations over some weeks with a period of an hour, and download
// the graph as CSV.
func ExampleReadCSV() {
	file, err := os.Open("testdata/invocations.csv")
	if err != nil {
		panic(err)
	}
	defer file.Close()

	arrivals, err := planner.ReadCSV(file, "America/New_York")
	if err != nil {
		panic(err)
	}
	fmt.Printf("Monday at 9: %.1f an hour\n", arrivals.At(time.Monday, 9))
	fmt.Printf("Sunday at 9: %.1f an hour\n", arrivals.At(time.Sunday, 9))
	// Output:
	// Monday at 9: 1206.5 an hour
	// Sunday at 9: 92.5 an hour
}

// The picture of the week is an SVG file.
func ExamplePlan_SVG() {
	var p planner.Profile
	p.Arrivals.Set(time.Monday, 9, 17, 3600)
	p.Duration = planner.Constant(time.Second)
	p.ColdStart = planner.Constant(time.Second)

	plan, err := planner.Planner{}.Plan(p)
	if err != nil {
		panic(err)
	}
	svg := string(plan.SVG()) // write it to a file and open it in a browser
	fmt.Println(strings.Contains(svg, "planned"))
	// Output: true
}
