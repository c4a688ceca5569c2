"""The artifact store: immutable directories with manifests, and what makes writing them safe."""
