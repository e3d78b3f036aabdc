"""A whole estate on one machine: sample APIs, control plane, authorizer and a real Envoy, to watch decisions."""
