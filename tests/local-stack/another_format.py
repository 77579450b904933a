"""A newer version of the function FUNCTION, in which a migration has another format.

The function's own process runs behind this one, which passes its calls of the Runtime API on. Every
migration that the function returns gets the field `format`. A migration without it is refused with
the error InvalidInput, as a function refuses a format that it does not know.
"""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading

RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]
FORMAT = 2


def call(method, path, body, content_type):
    connection = http.client.HTTPConnection(RUNTIME_API)
    connection.request(method, path, body, {"Content-Type": content_type})
    response = connection.getresponse()
    return response.status, response.getheaders(), response.read()


def next_invocation(path):
    """The next invocation whose migration has this format, without the format."""
    while True:
        status, headers, body = call("GET", path, None, "application/json")
        payload = json.loads(body)
        migration = payload.get("migration")
        if not isinstance(migration, dict) or migration.pop("format", None) == FORMAT:
            return status, headers, json.dumps(payload).encode()
        (request,) = [
            value for name, value in headers if name.lower() == "lambda-runtime-aws-request-id"
        ]
        error = {
            "errorType": "InvalidInput",
            "errorMessage": f"the migration does not have the format {FORMAT}",
        }
        path_of_error = f"/2018-06-01/runtime/invocation/{request}/error"
        call("POST", path_of_error, json.dumps(error), "application/json")


def with_format(body):
    answer = json.loads(body)
    if isinstance(answer, dict) and isinstance(answer.get("migration"), dict):
        answer["migration"]["format"] = FORMAT
    return json.dumps(answer).encode()


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(*next_invocation(self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/response"):
            body = with_format(body)
        content_type = self.headers.get("Content-Type", "application/json")
        self.answer(*call("POST", self.path, body, content_type))

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower().startswith("lambda-") or name.lower() == "content-type":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{server.server_port}"
function = subprocess.run([FUNCTION], env=os.environ | {"AWS_LAMBDA_RUNTIME_API": address})
sys.exit(function.returncode)
