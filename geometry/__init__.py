"""Spaces with structure: SPD matrices, Lie groups, surfaces, vector-symbolic algebra.

Covariance models with structure belong here too.
"""

__all__: list[str] = []
