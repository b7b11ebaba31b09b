#!/usr/bin/env bash
# The Kubernetes client for Python writes a Lease whose renewal falls on a whole second in a form that Kubernetes refuses.
#
# The client turns a datetime into ISO 8601 by `isoformat()`, which leaves the fraction out where it is zero. A Lease's
# times are metav1.MicroTime, which Kubernetes' own types read with exactly six digits after the second. Both are valid
# RFC 3339, so any datetime should do. A holder that renews with the current time meets it once in a million renewals;
# one that rounds to seconds, at each.
set -euo pipefail
client=37.0.2 api=v0.36.0
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/pip install --quiet "kubernetes==$client"
venv/bin/python >leases.txt <<'EOF'
import json
from datetime import UTC, datetime

from kubernetes.client import ApiClient, V1Lease, V1LeaseSpec

for microsecond in (1, 0):
    at = datetime(2026, 1, 1, 12, 0, 0, microsecond, tzinfo=UTC)
    print(json.dumps(ApiClient().sanitize_for_serialization(V1Lease(spec=V1LeaseSpec(renew_time=at)))))
EOF
cat >main.go <<'EOF'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	coordination "k8s.io/api/coordination/v1"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var lease coordination.Lease
		if err := json.Unmarshal(lines.Bytes(), &lease); err != nil {
			fmt.Println("refused:", err)
		} else {
			fmt.Println("taken:", lines.Text())
		}
	}
}
EOF
export GOPATH="$work/go" GOFLAGS=-modcacherw
go mod init finding >log.txt 2>&1 && go get "k8s.io/api/coordination/v1@$api" >>log.txt 2>&1 || { cat log.txt; exit 1; }
go build -o decode .
seen=$(./decode <leases.txt)
printf 'kubernetes %s for Python, k8s.io/api %s\n' "$client" "$api"
echo 'expected: both Leases are taken'
printf 'seen:\n%s\n' "$seen"
[[ $(grep -c '^taken' <<<"$seen") == 1 && $(grep -c '^refused: parsing time "2026-01-01T12:00:00+00:00"' <<<"$seen") == 1 ]]
