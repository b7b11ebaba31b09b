// The definitions of the Prometheus Operator, for tests/charts/test_prometheus_operator.py: go.sum pins what is fetched. Nothing is built.
module microseg.dev/hack/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
