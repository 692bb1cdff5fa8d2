package orchestration

import (
	"fmt"
	"strings"
	"time"

	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/patterns/orchestration/graph"
)

// redrives counts how often somebody redrove the execution. The documentation
// does not say that the count is there before the first time.
const redrives = "($exists($states.context.Execution.RedriveCount) ? $states.context.Execution.RedriveCount : 0)"

// definition returns the workflow in the Amazon States Language.
//
// What fails for good ends in the task "Give up". It raises the error, since a
// redrive enters the state that failed: redriven, it succeeds, and the load
// sets out anew.
func (g *GraphLoad) definition(p *GraphLoadProps) map[string]any {
	states := map[string]any{
		// Executions have names that neither a path nor SQL could take as they
		// are.
		"Name the load": graphPass(map[string]any{
			"Assign": map[string]any{"run": "{% $substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 32) %}"},
			"Next":   "Unload the tables",
		}),
		"Unload the tables": g.unload(p),
		"Set out": graphPass(map[string]any{
			"Assign": map[string]any{
				"resume":  "{% $states.input.resume %}",
				"resumes": 0,
				"since":   "{% " + redrives + " %}",
				"setOut":  "{% $toMillis($states.context.State.EnteredTime) %}",
			},
			"Output": map[string]any{},
			"Next":   "Start",
		}),
		"Give up": g.call("raise", map[string]any{
			"status":   "{% $states.input.status %}",
			"detail":   "{% $states.input.detail %}",
			"redriven": "{% " + redrives + " > $since %}",
		}, map[string]any{"Output": map[string]any{"resume": true}, "Next": "Set out"}),
		"Verify": g.call("verify", map[string]any{
			"run": "{% $run %}", "tables": "{% $tables %}", "checks": p.checks(),
		}, map[string]any{
			"Output": map[string]any{"load": "{% $run %}", "rows": "{% $states.result.Payload.found %}"},
			"End":    true,
		}),
	}
	if g.analytics != nil {
		g.importing(p, states)
	} else {
		g.loading(p, states)
	}
	return map[string]any{
		"Comment":        "Unloads tables, loads them into a graph and verifies it.",
		"QueryLanguage":  "JSONata",
		"StartAt":        "Name the load",
		"TimeoutSeconds": int((p.timeout() + 24*time.Hour).Seconds()), // a day to unload and to verify
		"States":         states,
	}
}

func (p *GraphLoadProps) timeout() time.Duration { return construct.Or(p.LoadTimeout, 6*time.Hour) }

// late is whether the load takes too long: since it set out, or since the
// execution was redriven, for it may have stood still in between.
func (p *GraphLoadProps) late() string {
	return fmt.Sprintf("$toMillis($states.context.State.EnteredTime) - %d > $max([$setOut, $exists($states.context.Execution.RedriveTime)"+
		" ? $toMillis($states.context.Execution.RedriveTime) : 0])", p.timeout().Milliseconds())
}

func (p *GraphLoadProps) checks() []any {
	checks := []any{}
	for _, c := range p.Checks {
		checks = append(checks, map[string]any{"query": c.Query, "atLeast": c.AtLeast})
	}
	return checks
}

// unload returns the state that unloads each table and writes its CSV files.
// Athena unloads into empty folders only, so each attempt has its own.
func (g *GraphLoad) unload(p *GraphLoadProps) map[string]any {
	format := graph.Gremlin
	if g.analytics != nil {
		format = graph.OpenCypher
	}
	items := []any{}
	tables, queries := p.tables()
	for i, t := range tables {
		items = append(items, map[string]any{"query": queries[i], "table": t, "relationship": t.Relationship()})
	}
	const folder = `("` + graph.Prefix + `" & $states.input.run & "/unload/" & $states.input.index & "-" & ` + redrives + ` & "-" & $states.context.State.RetryCount & "/")`
	return map[string]any{
		"Type":           "Map",
		"Items":          items,
		"MaxConcurrency": construct.Or(p.MaxConcurrency, 4),
		"ItemSelector": map[string]any{
			"item":   "{% $states.context.Map.Item.Value %}",
			"index":  "{% $states.context.Map.Item.Index %}",
			"run":    "{% $run %}",
			"cursor": "",
			"rows":   0,
		},
		"ItemProcessor": map[string]any{
			"StartAt": "Unload",
			"States": map[string]any{
				"Unload": map[string]any{
					"Type":     "Task",
					"Resource": "arn:aws:states:::athena:startQueryExecution.sync",
					"Arguments": map[string]any{
						"QueryString": `{% "UNLOAD (" & $states.input.item.query & "\n) TO 's3://` + *construct.BucketName(g.bucket) + `/" & ` + folder +
							` & "' WITH (format = 'JSON', compression = 'GZIP')" %}`,
						"QueryExecutionContext": map[string]any{"Database": p.Lake.Database()},
						"WorkGroup":             p.Lake.WorkGroup(),
						"ClientRequestToken":    `{% $hash($states.context.Execution.Id & ` + folder + `, "SHA-256") %}`,
					},
					"Retry":          graphRetry("Athena.TooManyRequestsException", "Athena.InternalServerException"),
					"TimeoutSeconds": int(2 * time.Hour / time.Second),
					"Output":         "{% $merge([$states.input, {'source': " + folder + "}]) %}",
					"Next":           "Write",
				},
				"Write": g.call("write", map[string]any{
					"run":    "{% $states.input.run %}",
					"index":  "{% $states.input.index %}",
					"table":  "{% $states.input.item.table %}",
					"format": format,
					"source": "{% $states.input.source %}",
					"target": "{% '" + graph.Prefix + "' & $states.input.run & '/csv/' %}",
					"cursor": "{% $states.input.cursor %}",
				}, map[string]any{
					"Output": "{% $merge([$states.input, {'cursor': $states.result.Payload.cursor, 'done': $states.result.Payload.done," +
						" 'rows': $states.input.rows + $states.result.Payload.rows}]) %}",
					"Next": "Written?",
				}),
				"Written?": graphChoice("Write", graphWhen("$states.input.done", "Written")),
				"Written": graphPass(map[string]any{
					"Output": map[string]any{
						"name":         "{% $states.input.item.table.name %}",
						"relationship": "{% $states.input.item.relationship %}",
						"rows":         "{% $states.input.rows %}",
					},
					"End": true,
				}),
			},
		},
		"Assign": map[string]any{"tables": "{% $states.result %}"},
		"Output": map[string]any{"resume": false},
		"Next":   "Set out",
	}
}

// loading adds the states that have the cluster load the files.
func (g *GraphLoad) loading(p *GraphLoadProps, states map[string]any) {
	resumes := 3
	if p.Resumes != nil {
		resumes = *p.Resumes
	}
	states["Start"] = g.call("start", map[string]any{
		"prefix": "{% '" + graph.Prefix + "' & $run & '/csv/' %}",
		"resume": "{% $resume %}",
	}, map[string]any{
		"Assign": map[string]any{"load": "{% $states.result.Payload.id %}"},
		"Output": map[string]any{},
		"Next":   "Pause",
	})
	states["Pause"] = p.pause("Poll")
	states["Poll"] = g.call("poll", map[string]any{"id": "{% $load %}"}, map[string]any{
		"Output": "{% $merge([$states.result.Payload, {'late': " + p.late() + "}]) %}",
		"Next":   "Loaded?",
	})
	phase := func(p graph.Phase) string { return "$states.input.phase = '" + string(p) + "'" }
	states["Loaded?"] = graphChoice("Give up",
		graphWhen(phase(graph.Completed), "Verify"),
		graphWhen(phase(graph.Running)+" and $not($states.input.late)", "Pause"),
		graphWhen(phase(graph.Running), "Cancel"),
		graphWhen(fmt.Sprintf("%s and $resumes < %d", phase(graph.Resumable), resumes), "Resume"),
	)
	states["Resume"] = map[string]any{
		"Type": "Wait", "Seconds": 60,
		"Assign": map[string]any{"resume": true, "resumes": "{% $resumes + 1 %}"},
		"Next":   "Start",
	}
	states["Cancel"] = g.call("cancel", map[string]any{"id": "{% $load %}"}, map[string]any{
		"Output": map[string]any{"status": graph.Timeout, "detail": "{% $states.input.detail %}"},
		"Next":   "Give up",
	})
}

// importing adds the states that have Neptune Analytics import the files, into
// a graph that they empty first.
func (g *GraphLoad) importing(p *GraphLoadProps, states map[string]any) {
	identifier := *g.analytics.graph.AttrGraphId()
	call := func(action string, arguments, more map[string]any) map[string]any {
		return graphTask("arn:aws:states:::aws-sdk:neptunegraph:"+action, arguments, map[string]any{
			"Retry": graphRetry("NeptuneGraph.ConflictException", "NeptuneGraph.InternalServerException", "NeptuneGraph.ThrottlingException",
				"NeptuneGraph.SdkClientException"),
			"Catch": []any{map[string]any{
				"ErrorEquals": []string{"States.ALL"},
				"Output": map[string]any{
					"status": "{% $states.errorOutput.Error %}",
					"detail": "{% $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '' %}",
				},
				"Next": "Give up",
			}},
		}, more)
	}
	output := "{% {'status': $states.result.Status, 'detail': $exists($states.result.StatusReason) ? $states.result.StatusReason : ''," +
		" 'late': " + p.late() + "} %}"
	status := func(of ...string) string { return "$states.input.status in ['" + strings.Join(of, "', '") + "']" }
	late := map[string]any{"status": graph.Timeout, "detail": "{% $states.input.status %}"}

	states["Start"] = call("resetGraph", map[string]any{"GraphIdentifier": identifier, "SkipSnapshot": false},
		map[string]any{"Output": map[string]any{}, "Next": "Pause for reset"})
	states["Pause for reset"] = p.pause("Look")
	states["Look"] = call("getGraph", map[string]any{"GraphIdentifier": identifier},
		map[string]any{"Output": output, "Next": "Empty?"})
	tooLate := graphWhen("$states.input.late", "Give up")
	tooLate["Output"] = late
	states["Empty?"] = graphChoice("Pause for reset",
		graphWhen(status("AVAILABLE"), "Import"),
		graphWhen(status("FAILED", "DELETING"), "Give up"),
		tooLate,
	)
	states["Import"] = call("startImportTask", map[string]any{
		"GraphIdentifier": identifier,
		"Source":          "{% 's3://" + *construct.BucketName(g.bucket) + "/" + graph.Prefix + "' & $run & '/csv/' %}",
		"Format":          "OPEN_CYPHER",
		"RoleArn":         construct.RoleArn(g.analytics.importRole),
		"FailOnError":     true,
	}, map[string]any{
		"Assign": map[string]any{"load": "{% $states.result.TaskId %}"},
		"Output": map[string]any{},
		"Next":   "Pause",
	})
	states["Pause"] = p.pause("Poll")
	states["Poll"] = call("getImportTask", map[string]any{"TaskIdentifier": "{% $load %}"},
		map[string]any{"Output": output, "Next": "Imported?"})
	states["Imported?"] = graphChoice("Pause",
		graphWhen(status("SUCCEEDED"), "Verify"),
		graphWhen(status("FAILED", "CANCELLED", "DELETED"), "Give up"),
		graphWhen("$states.input.late", "Cancel"),
	)
	states["Cancel"] = call("cancelImportTask", map[string]any{"TaskIdentifier": "{% $load %}"},
		map[string]any{"Output": late, "Next": "Give up"})
}

// call returns the task that asks the function.
func (g *GraphLoad) call(request string, arguments, more map[string]any) map[string]any {
	return graphTask("arn:aws:states:::lambda:invoke", map[string]any{
		"FunctionName": construct.FunctionArn(g.function.Target()),
		"Payload":      map[string]any{request: arguments},
	}, map[string]any{
		"Retry": append(graphRetry("UnavailableError", "Lambda.TooManyRequestsException", "Lambda.ServiceException",
			"Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown"),
			// What took a quarter of an hour twice will a third time.
			map[string]any{"ErrorEquals": []string{"Sandbox.Timedout", "States.Timeout"}, "MaxAttempts": 1}),
		"TimeoutSeconds": 960, // more than the function's
	}, more)
}

func graphTask(resource string, arguments map[string]any, fields ...map[string]any) map[string]any {
	state := map[string]any{"Type": "Task", "Resource": resource, "Arguments": arguments}
	for _, f := range fields {
		for name, value := range f {
			state[name] = value
		}
	}
	return state
}

func graphRetry(errors ...string) []any {
	return []any{map[string]any{
		"ErrorEquals": errors, "IntervalSeconds": 2, "BackoffRate": 2, "MaxDelaySeconds": 60, "MaxAttempts": 8, "JitterStrategy": "FULL",
	}}
}

func graphPass(fields map[string]any) map[string]any {
	fields["Type"] = "Pass"
	return fields
}

func (p *GraphLoadProps) pause(next string) map[string]any {
	return map[string]any{"Type": "Wait", "Seconds": int(construct.Or(p.PollInterval, 30*time.Second).Seconds()), "Next": next}
}

func graphWhen(condition, next string) map[string]any {
	return map[string]any{"Condition": "{% " + condition + " %}", "Next": next}
}

func graphChoice(otherwise string, rules ...map[string]any) map[string]any {
	choices := make([]any, len(rules))
	for i, r := range rules {
		choices[i] = r
	}
	return map[string]any{"Type": "Choice", "Choices": choices, "Default": otherwise}
}
