"""Linear state-space models: bases, kernels, recurrences."""

__all__: list[str] = []
