#!/usr/bin/env bash
# kopf: in a mutating webhook, an empty mapping is lost, and deleting a key that isn't there deletes its parent.
#
# kopf hands a handler the same `patch` object in kopf.on.update and in kopf.on.mutate, and its page "Admission control"
# says that the semantics are those of the Kubernetes API, or as close as possible, with None removing the relevant keys. For
# the API (a merge patch, RFC 7396, with an example for it) {} sets an empty object, and null for an absent key changes
# nothing. In Kubernetes an empty mapping speaks: podSelector {} is every pod of the namespace, emptyDir {} a volume.
# From a webhook {} comes out as no operation at all, and None for a key in an empty mapping as the removal of that
# mapping (the docstring of as_json_patch promises that such a one disappears as useless): here the required podSelector
# of a NetworkPolicy. The same patch sent by kopf outside admission, as a merge patch, is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kopf==1.45.2 jsonpatch==1.48 json-merge-patch==0.3.0
"$work/venv/bin/python" - <<'EOF'
import copy
from importlib.metadata import version

import json_merge_patch
import jsonpatch
import kopf

print('kopf', version('kopf'))
bare = {'metadata': {'name': 'one'}, 'spec': {'policyTypes': ['Ingress']}}
whole = {'metadata': {'name': 'one'}, 'spec': {'podSelector': {}, 'policyTypes': ['Ingress']}}


def fill(patch):
    patch.spec['podSelector'] = {}


def narrow(patch):
    patch.spec['podSelector'] = {'matchLabels': None}


def scratch(patch):
    patch.spec['note'] = None


failed = False
for name, change, body, seen in (
    ('podSelector = {}, absent before', fill, bare, bare),
    ('podSelector.matchLabels = None, absent before', narrow, whole, bare),
    ('spec.note = None, in an empty spec', scratch, {'metadata': {'name': 'two'}, 'spec': {}}, {'metadata': {'name': 'two'}}),
):
    patch = kopf.Patch(body=body)
    change(patch)
    operations = list(patch.as_json_patch())
    result = jsonpatch.apply_patch(body, operations)
    expected = json_merge_patch.merge(copy.deepcopy(body), copy.deepcopy(dict(patch)))
    print(f'{name}\n  expected spec: {expected.get("spec")} (merge patch)\n  seen spec:     {result.get("spec")} by {operations}')
    failed |= result != seen or result == expected
raise SystemExit('no longer so' if failed else 0)
EOF
