// The same handler on Node.js, with the smallest client of the Runtime API:
// what Node's own start costs, and nothing else.
import http from "node:http";

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, hostname, port, method, path: "/2018-06-01/runtime/invocation/" + path }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ headers: response.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let invocation = 0;

async function handle(text, headers) {
  const event = JSON.parse(text);
  invocation++;
  if (event["coldstart.ping"]) {
    await sleep(event["coldstart.ping"].hold);
    return { instance: process.env.AWS_LAMBDA_LOG_STREAM_NAME, cold: invocation === 1, invocation };
  }
  const left = Number(headers["lambda-runtime-deadline-ms"]) - Date.now();
  await sleep(event.sleep ?? 0);
  return { requestId: headers["lambda-runtime-aws-request-id"], left, text };
}

for (;;) {
  const { headers, text } = await call("GET", "next");
  const answer = await handle(text, headers);
  await call("POST", headers["lambda-runtime-aws-request-id"] + "/response", JSON.stringify(answer));
}
