"""Alerts, SLO rules and dashboards of `manifests/monitoring/`, generated from the table of metrics."""
