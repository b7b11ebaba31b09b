#!/usr/bin/env bash
# kstatus calls a custom resource Current by a condition that says itself that it is out of date.
#
# The comment on metav1.Condition's observedGeneration (k8s.io/apimachinery) says that a condition whose number is behind
# metadata.generation no longer speaks of the object as it is, and `kubectl wait --for=condition=` goes by that. kstatus,
# which Flux's health checks and kpt ask, has in its README that a resource not yet reconciled to its last change is
# InProgress. It looks at status.observedGeneration alone: a resource with the number in each condition, as the Gateway
# API has it, and without that field is Current right after every change of its spec, by last time's Ready. Whether
# the next stage of a rollout starts too early depends on which tool waits.
set -euo pipefail
export GOTOOLCHAIN=local
version=v0.37.2
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/go"
cat >"$work/go/main.go" <<'EOF'
package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func compute(kind string, fields, condition map[string]any) string {
	for key, value := range map[string]any{"type": "Ready", "reason": "Done", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"} {
		condition[key] = value
	}
	fields["conditions"] = []any{condition}
	result, err := status.Compute(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.invalid/v1", "kind": kind, "status": fields,
		"metadata": map[string]any{"name": "one", "generation": int64(12)},
	}})
	if err != nil {
		panic(err)
	}
	return result.Status.String()
}

func main() {
	fmt.Println(
		compute("Whole", map[string]any{"observedGeneration": int64(9)}, map[string]any{"status": "True"}),
		compute("Each", map[string]any{}, map[string]any{"status": "True", "observedGeneration": int64(9)}),
		compute("Now", map[string]any{}, map[string]any{"status": "True", "observedGeneration": int64(12)}))
}
EOF
cd "$work/go"
export GOPATH="$work/gopath" GOFLAGS=-modcacherw
{ go mod init example.invalid/kstatus && go get "sigs.k8s.io/cli-utils@$version" && go mod tidy && go build -o "$work/asks" .; } >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
read -r whole each now <<<"$("$work/asks")"
printf 'sigs.k8s.io/cli-utils %s, metadata.generation 12, condition Ready True\n' "$version"
echo "status.observedGeneration 9:          expected InProgress, seen $whole"
echo "the condition's observedGeneration 9: expected InProgress, seen $each"
echo "the condition's observedGeneration 12: expected Current, seen $now"
[[ "$whole $each $now" == 'InProgress Current Current' ]]
