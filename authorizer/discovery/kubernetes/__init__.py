"""Which APIs the objects of a Kubernetes cluster describe: watched at its API server or read from files."""
