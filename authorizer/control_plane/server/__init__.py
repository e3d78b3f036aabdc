"""The reference control plane: checks documents, publishes signed bundles, and knows what is guarded by what."""
