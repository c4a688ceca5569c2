"""The soak: two weeks of a deployment's life in minutes, with what goes wrong in two weeks."""
