// Package openwhisk runs workflows in the Amazon States Language on Apache
// OpenWhisk.
//
// [Translate] reads the same definition that Step Functions runs and decides
// how OpenWhisk runs it: a workflow that only hands the output of one function
// to the next becomes a native sequence, any other is run by a [Conductor]. What
// OpenWhisk cannot do is refused, naming the state.
//
// A conductor action is OpenWhisk's way to choose the next action at run time:
// the conductor names an action, is suspended while that runs, and is resumed
// with its result and with its own state. The Conductor here carries an
// execution of package asl from task to task that way; between two tasks nothing
// of it runs.
//
// # How it differs from Step Functions
//
//   - Tasks run one after the other, also those of a Parallel or Map state; the
//     ones that start together all run before the first result counts, so that
//     states, results and errors are the same.
//   - OpenWhisk ends a composition after a number of actions (50, unless the
//     operator changed it), and has no redrive.
//   - An action that OpenWhisk itself fails to run ends the workflow without
//     Retry and Catch; a workflow in flight does not survive its own update.
//   - Whoever may invoke the conductor can hand it a made-up state. That is no
//     more than invoking the actions directly, which the same key allows; do not
//     make the conductor a web action.
//
// Source: https://github.com/apache/openwhisk/blob/master/docs/conductors.md.
package openwhisk
