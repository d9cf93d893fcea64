"""Transports: one file each, found by name through `edgekit.plugins`. What they promise is `edgekit.devices.transport`."""
