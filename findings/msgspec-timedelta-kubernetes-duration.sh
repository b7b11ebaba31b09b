#!/usr/bin/env bash
# One schema, `format: duration`: what msgspec writes for it, Kubernetes takes for another length of time.
#
# msgspec's JSON schema of a timedelta is {"type": "string", "format": "duration"} and its values are ISO 8601 durations
# ("Supported types", datetime.timedelta), as in JSON Schema 2020-12. Put into a CRD, the same two words mean Kubernetes'
# own format, what Go's time.ParseDuration or Scala reads (the list of formats at JSONSchemaProps, apiextensions/v1).
# A careful user expects the API server to refuse what is neither. It takes it: the validator looks for digits
# before a unit and drops what stands around them, so 90.5 s is 5 s, a quarter of a second is 25 s, and one day back is
# one day ahead. Positive whole numbers come out right, so a test with five minutes shows nothing. The same parser gives
# CEL its value for such a field, so a rule like `self.grace >= duration('1m')` judges a length that nobody wrote.
# (That "1.5 hours" is read as five is kubernetes/kube-openapi issue 523; this is what it means for another's output.)
set -euo pipefail
export GOTOOLCHAIN=local
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.23.0
mkdir "$work/go"
cat >"$work/go/main.go" <<'EOF'
package main

import (
	"bufio"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		text := lines.Text()
		length, err := strfmt.ParseDuration(text)
		fmt.Println(text, strfmt.Default.Validates("duration", text), length.Seconds(), err)
	}
}
EOF
cd "$work/go"
export GOPATH="$work/gopath" GOFLAGS=-modcacherw
go mod init example.invalid/duration 2>"$work/log"
go get k8s.io/kube-openapi@v0.0.0-20250910181357-589584f1c912 2>>"$work/log" || { cat "$work/log"; exit 1; }
go mod tidy 2>>"$work/log" || { cat "$work/log"; exit 1; }
go build -o "$work/reads" . || exit 1
cd "$work"
"$work/venv/bin/python" - "$work/reads" <<'EOF'
import subprocess
import sys
from datetime import timedelta
from importlib.metadata import version

import msgspec

print('msgspec', version('msgspec'), 'and k8s.io/kube-openapi 589584f1c912')
print('schema by msgspec:', msgspec.json.schema(timedelta))
lengths = [timedelta(minutes=5), timedelta(seconds=90.5), timedelta(milliseconds=250), timedelta(days=-1)]
written = [msgspec.json.decode(msgspec.json.encode(length), type=str) for length in lengths]
read = subprocess.run([sys.argv[1]], input='\n'.join(written), capture_output=True, check=True, text=True).stdout.splitlines()
seen = []
for length, line in zip(lengths, read, strict=True):
    text, valid, seconds, error = line.split(' ', 3)
    print(f'{text:9} expected: refused, or {length.total_seconds():g} s; seen: valid={valid}, {float(seconds):g} s, error {error}')
    seen.append((valid, float(seconds), error))
want = [('true', 300.0, '<nil>'), ('true', 5.0, '<nil>'), ('true', 25.0, '<nil>'), ('true', 86400.0, '<nil>')]
raise SystemExit(0 if seen == want else 'no longer so')
EOF
