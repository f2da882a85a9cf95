"""Orthogonal operators as ``linear_operator`` objects, which GPyTorch's solvers take."""

from __future__ import annotations

from typing import Any

import torch
from linear_operator import LinearOperator

from numerics.arrays import Array, Frame
from numerics.orthogonal.operator import OrthogonalOperator


def torch_linear_operator(operator: OrthogonalOperator, frame: Frame) -> LinearOperator:
    """Wrap ``operator``; an empty tensor in front says where it lives and how precise it is."""
    place = torch.empty(0, dtype=frame.real, device=frame.device)
    return _Orthogonal(place, *operator._parameters().values(), operator=operator)


class _Orthogonal(LinearOperator):
    def __init__(self, place: Array, *parameters: Array, operator: OrthogonalOperator) -> None:
        super().__init__(place, *parameters, operator=operator)
        self._operator = operator._rebuilt(parameters)

    def _matmul(self, rhs: Array) -> Array:
        return self._operator @ rhs

    def _size(self) -> Any:
        return torch.Size(self._operator.shape)

    def _transpose_nonbatch(self) -> LinearOperator:
        adjoint = self._operator.adjoint()
        return _Orthogonal(self._args[0], *adjoint._parameters().values(), operator=adjoint)
