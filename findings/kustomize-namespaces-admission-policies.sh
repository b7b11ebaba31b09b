#!/usr/bin/env bash
# kustomize gives a namespace to ValidatingAdmissionPolicies, which are cluster-wide.
#
# `namespace:` in a kustomization is documented to apply to namespaced objects. kustomize knows the scope of built-in kinds
# from a bundled OpenAPI document; these two kinds come out with metadata.namespace, although the API server has them
# cluster-wide (admissionregistration.k8s.io/v1 since Kubernetes 1.30). kubectl applies them all the same, because the
# namespace of a cluster-wide object is ignored on the way; tools that compare text see a difference.
set -euo pipefail
version=v5.8.0
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
GOBIN="$work" GOPATH="$work/go" GOFLAGS=-modcacherw go install "sigs.k8s.io/kustomize/kustomize/v5@$version"
cat >"$work/policy.yaml" <<'EOF'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: one}
spec: {validations: [{expression: "true"}]}
EOF
cat >"$work/role.yaml" <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: two}
rules: []
EOF
printf 'namespace: three\nresources: [policy.yaml, role.yaml]\n' >"$work/kustomization.yaml"
built=$("$work/kustomize" build "$work")
printf 'kustomize %s\n' "$version"
echo 'expected: no metadata.namespace, on either object'
echo "seen: $(grep -c 'namespace: three' <<<"$built") of 2 objects have one"
grep -A4 'kind: ValidatingAdmissionPolicy' <<<"$built"
[[ $(grep -c 'namespace: three' <<<"$built") == 1 ]]
