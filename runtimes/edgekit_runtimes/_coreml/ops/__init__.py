"""The operators, a file a family; see `edgekit_runtimes._coreml.registry`."""
