"""What `lab.forked` imports once: the libraries of the product, and the simulators.

Not the product itself: `lab.overrides` replaces names before other modules of the product import them.
"""

# ruff: noqa: F401

import gc

import aiohttp.web
import azure.identity
import azure.mgmt.compute
import kopf
import kubernetes
import msgspec
import prometheus_client
import requests
import rich.console
import yaml

import simulators.__main__

gc.freeze()  # a collection in a fork need not look at these objects, and copies none of their pages
