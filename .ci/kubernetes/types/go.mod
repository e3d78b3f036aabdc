// The kinds of object that an API server learns from a definition: Gateway API, Istio, Envoy Gateway, the Prometheus
// operator, Traefik. Only their files are taken, by .ci/kubernetes/build, which names the versions; go.sum pins them.
module authorizer-test-kubernetes-types

go 1.26.0
