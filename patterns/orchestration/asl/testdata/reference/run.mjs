// Runs the workflows of standard input with aws-local-stepfunctions and prints
// what each did: one JSON array, in the order of the input.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = process.argv[2];
const resolve = createRequire(join(modules, 'reference.js')).resolve;
const { StateMachine } = await import(pathToFileURL(resolve('aws-local-stepfunctions')));

class TaskError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

function handler(script) {
  let calls = 0;
  return async (input) => {
    const step = script[Math.min(calls++, script.length - 1)];
    // The event logs of nested machines reach the outer one a little later.
    await new Promise(setImmediate);
    if (step.error) throw new TaskError(step.error, step.cause);
    if (step.failWhen !== undefined && JSON.stringify(input) === JSON.stringify(step.failWhen)) {
      throw new TaskError('Item.Refused', 'refused');
    }
    if (step.hang) return new Promise((done) => setTimeout(done, 60_000).unref());
    return 'return' in step ? step.return : input;
  };
}

function overrides(definition, into = { waits: {}, retries: {} }) {
  for (const [name, state] of Object.entries(definition.States)) {
    if (state.Type === 'Wait') into.waits[name] = 0;
    if (state.Retry) into.retries[name] = state.Retry.map(() => 0);
    for (const inner of [state.Iterator, state.ItemProcessor, ...(state.Branches ?? [])]) {
      if (inner) overrides(inner, into);
    }
  }
  return into;
}

async function run({ definition, input, tasks }) {
  const { waits, retries } = overrides(definition);
  const handlers = Object.fromEntries(Object.entries(tasks ?? {}).map(([name, script]) => [name, handler(script)]));
  const machine = new StateMachine(definition, { validationOptions: { noValidate: true } });
  const execution = machine.run(input, {
    overrides: { taskResourceLocalHandlers: handlers, waitTimeOverrides: waits, retryIntervalOverrides: retries },
  });
  execution.result.catch(() => {});
  const report = { visits: [] };
  for await (const event of execution.eventLogs) {
    const open = (name) => report.visits.findLast((v) => v.state === name && v.index === (event.index ?? null) && !v.closed);
    switch (event.type) {
      case 'StateEntered':
        report.visits.push({ state: event.state.name, index: event.index ?? null, input: event.state.input, failures: [] });
        break;
      case 'StateExited': {
        const visit = open(event.state.name);
        visit.closed = true;
        visit.output = event.state.output;
        break;
      }
      case 'StateFailed':
        open(event.state.name).failures.push(event.Error);
        break;
      case 'ExecutionSucceeded':
        report.status = 'SUCCEEDED';
        report.output = event.output;
        break;
      case 'ExecutionFailed':
        report.status = 'FAILED';
        report.error = event.Error;
        break;
    }
  }
  return report;
}

const workflows = JSON.parse(readFileSync(0, 'utf8'));
const reports = await Promise.all(workflows.map((w) => run(w).catch((e) => ({ broken: String(e) }))));
process.stdout.write(JSON.stringify(reports), () => process.exit(0));
