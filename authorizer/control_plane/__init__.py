"""The control plane: the client that pulls from it (``client``) and the server that publishes (``server``)."""
