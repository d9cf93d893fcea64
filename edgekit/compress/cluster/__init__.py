"""Clustering of weights: few distinct values, stored as small indices into tables.

``Cluster`` runs, one file a step: `layers` (which weights), `kmeans` and `tables` (the tables), `reconstruction` (assignments and
tables that give back each layer's outputs on data) and `budget` (how many bits each weight gets).
"""

from edgekit.compress.cluster.cluster import METHODS, Cluster

__all__ = ["METHODS", "Cluster"]
