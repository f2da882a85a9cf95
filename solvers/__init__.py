"""Equations and estimates: relaxation, sketched regression, collocation, inverse problems."""

__all__: list[str] = []
