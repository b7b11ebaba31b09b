#!/usr/bin/env bash
# copy() of an Azure management model does not give a copy of that model.
#
# Since the generator's change to "hybrid" models, azure-mgmt-compute and -network models are dictionaries as well as
# objects (the Azure SDK's guide for the change says so; the class is a MutableMapping), and have a public copy().
# dict.copy() in the Python library reference gives an equal mapping of its own, so a careful user takes vm.copy() to
# try a change on. What comes is a bare Model with one key, "_data", and the real content below it: no `location`
# attribute, not equal, and a body that ARM does not know. copy.copy(vm) keeps the class, but a field assigned on
# that copy changes the original too, so "before" and "after" are always alike. copy.deepcopy is what one expects.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check azure-mgmt-compute==39.0.0 azure-mgmt-network==33.1.0 azure-core==1.41.0
"$work/venv/bin/python" - <<'EOF'
import copy
import json
from importlib.metadata import version

from azure.mgmt.compute.models import VirtualMachine
from azure.mgmt.network.models import NetworkSecurityGroup

for package in ('azure-mgmt-compute', 'azure-mgmt-network', 'azure-core'):
    print(package, version(package))

changed = False
for cls in (VirtualMachine, NetworkSecurityGroup):
    first = cls(location='westeurope', tags={'tier': 'web'})
    second = first.copy()
    print(f'{cls.__name__}.copy() expected: a {cls.__name__}, equal to the first: {json.dumps(first.as_dict())}')
    print(f'{cls.__name__}.copy() seen:     a {type(second).__name__}, equal: {second == first}: {json.dumps(second.as_dict())}')
    changed |= isinstance(second, cls) or second == first or list(second) != ['_data']

    third = copy.copy(first)
    third.location = 'northeurope'
    print(f'{cls.__name__}, copy.copy() given another location: expected the first in westeurope, seen {first.location}')
    changed |= type(third) is not cls or first.location != 'northeurope'

    fourth = copy.deepcopy(first)
    fourth.location = 'uksouth'
    changed |= first.location == 'uksouth'
raise SystemExit('no longer so' if changed else 0)
EOF
