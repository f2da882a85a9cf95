"""Spaces with structure: SPD matrices, Lie groups, surfaces, vector-symbolic algebra, covariance models."""

__all__: list[str] = []
