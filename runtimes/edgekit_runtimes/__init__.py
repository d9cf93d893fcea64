"""Plug-ins of edgekit; each module is imported only when asked for by its name."""
