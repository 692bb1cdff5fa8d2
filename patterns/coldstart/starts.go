package coldstart

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
	"github.com/serverless-go/cdk/internal/construct"
	"github.com/serverless-go/cdk/internal/defaults"
	"github.com/serverless-go/cdk/patterns/alarm"
)

// MetricNamespace is the namespace of the metric of cold starts. There is one
// for each function, named "InitDuration " and the function's name: the
// milliseconds that its environments took to start on demand. Its SampleCount
// is the number of cold starts. A custom metric costs 0.30 USD a month.
const MetricNamespace = "ColdStarts"

// addStarts makes the metric of cold starts from the function's log, for Lambda
// has none, its alarm and the dashboard.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
func (w *WarmFunction) addStarts(p *WarmFunctionProps) {
	name := construct.FunctionName(w.function.Lambda())
	metric := jsii.String("InitDuration " + *name)
	field := "$.record.metrics.initDurationMs"
	if p.SnapStart {
		field = "$.record.metrics.restoreDurationMs"
	}
	awslogs.NewCfnMetricFilter(w, jsii.String("Starts"), &awslogs.CfnMetricFilterProps{
		LogGroupName:  w.function.LogGroup(),
		FilterPattern: jsii.String(`{ $.type = "platform.report" && ` + field + ` = * }`),
		MetricTransformations: []any{&awslogs.CfnMetricFilter_MetricTransformationProperty{
			MetricNamespace: jsii.String(MetricNamespace),
			MetricName:      metric,
			MetricValue:     jsii.String(field),
			Unit:            jsii.String("Milliseconds"),
		}},
	})
	w.initAlarm = alarm.New(w, "SlowStarts", alarm.Alarm{
		Namespace:   MetricNamespace,
		Metric:      *metric,
		Statistic:   "Maximum",
		Threshold:   3000,
		Description: "Environments take long to start: do less before the handler, or more memory, or see docs/coldstart.md.",
	}, p.Alarms.Init, p.Alarms.Topic)
	if p.Dashboard {
		w.dashboard = awscloudwatch.NewCfnDashboard(w, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
			DashboardBody: jsii.String(defaults.JSON(w.dashboardBody(metric))),
		})
	}
}

// dashboardBody returns what the console shows.
//
// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func (w *WarmFunction) dashboardBody(starts *string) map[string]any {
	dimensions, region := aliasDimensions(w.alias), defaults.Text(w, "${AWS::Region}")
	ofAlias := func(metric, stat, label string) []any {
		line := []any{"AWS/Lambda", metric}
		for name, value := range sorted(dimensions) {
			line = append(line, name, value)
		}
		return append(line, map[string]any{"stat": stat, "label": label})
	}
	ofStarts := func(stat, label string) []any {
		return []any{MetricNamespace, starts, map[string]any{"stat": stat, "label": label}}
	}
	widget := func(i int, title string, metrics ...[]any) map[string]any {
		return map[string]any{
			"type": "metric", "x": 12 * (i % 2), "y": 6 * (i / 2), "width": 12, "height": 6,
			"properties": map[string]any{
				"title": title, "region": region, "period": 60, "metrics": metrics,
				"yAxis": map[string]any{"left": map[string]any{"min": 0}},
			},
		}
	}
	return map[string]any{"widgets": []any{
		widget(0, "Invocations", ofAlias("Invocations", "Sum", "all"),
			ofAlias("ProvisionedConcurrencyInvocations", "Sum", "on provisioned environments"),
			ofAlias("ProvisionedConcurrencySpilloverInvocations", "Sum", "spilled over")),
		widget(1, "Concurrency", ofAlias("ConcurrentExecutions", "Maximum", "in use"),
			ofAlias("ProvisionedConcurrentExecutions", "Maximum", "provisioned in use")),
		widget(2, "Utilization of what is provisioned", ofAlias("ProvisionedConcurrencyUtilization", "Maximum", "busiest moment")),
		widget(3, "Cold starts", ofStarts("SampleCount", "number"), ofStarts("Average", "ms on average"), ofStarts("Maximum", "ms at most")),
	}}
}
