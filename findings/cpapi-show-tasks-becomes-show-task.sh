#!/usr/bin/env bash
# cp-mgmt-api-sdk: the listing command show-tasks is taken for a command that started those tasks.
#
# api_call() documents wait_for_task for a server that "responds with a task-id"; Check Point's API reference has
# show-tasks as a query: it lists tasks, and answers with "tasks", "from", "to" and "total". The client looks for a "tasks"
# member in the answer to any command but show-task, asks for each listed task by itself until it is over, then asks
# for all of them once more, and hands back that last answer in place of the list: "total" is gone, and success is False
# as soon as any task in the history had failed, although the query was answered with 200. With a task under way the
# query waits for its end; and api_query("show-tasks", container_key="tasks") returns the first page as if it were all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cp-mgmt-api-sdk==1.9.0
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout "$work/key" -out "$work/cert" 2>"$work/log"
cd "$work"
"$work/venv/bin/python" - "$work/cert" "$work/key" <<'EOF'
import hashlib
import http.server
import json
import ssl
import sys
import threading
from importlib.metadata import version

from cpapi import APIClient, APIClientArgs

tasks = [{'task-id': f'0000000{n}', 'task-name': 'Policy installation', 'status': 'failed' if n == 1 else 'succeeded'} for n in range(5)]
asked = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        command = self.path.rsplit('/', 1)[1]
        asked.append(command)
        if command == 'show-tasks':
            start, limit = body.get('offset', 0), body.get('limit', 50)
            page = tasks[start:start + limit]
            answer = {'tasks': page, 'from': start + 1, 'to': start + len(page), 'total': len(tasks)}
        else:
            wanted = body['task-id'] if isinstance(body['task-id'], list) else [body['task-id']]
            answer = {'tasks': [task for task in tasks if task['task-id'] in wanted]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()

client = APIClient(APIClientArgs(server='127.0.0.1', port=server.server_port))
with open(sys.argv[1], encoding='ascii') as certificate:
    client.fingerprint = hashlib.sha1(ssl.PEM_cert_to_DER_cert(certificate.read())).hexdigest().upper()
print('cp-mgmt-api-sdk', version('cp-mgmt-api-sdk'))
once = client.api_call('show-tasks')
print("api_call('show-tasks') expected: one request, success True, total 5")
print(f'  seen: {" ".join(asked)}; success {once.success}, total {once.data.get("total")}')
first = (list(asked), once.success, once.data.get('total'))
asked.clear()
paged = client.api_query('show-tasks', container_key='tasks', payload={'limit': 2})
found = paged.data['tasks'] if isinstance(paged.data, dict) else paged.data
print("api_query('show-tasks', ..., limit 2) expected: 5 tasks, by three pages")
print(f'  seen: {len(found)} tasks, by {" ".join(asked)}')
second = (len(found), asked.count('show-tasks'))
asked.clear()
control = client.api_call('show-tasks', wait_for_task=False)
print(f'with wait_for_task=False: {" ".join(asked)}; success {control.success}, total {control.data["total"]}')
client.close_connection()
server.shutdown()
want = ((['show-tasks'] + ['show-task'] * 6, False, None), (2, 1))
raise SystemExit(0 if (first, second) == want else 'no longer so')
EOF
