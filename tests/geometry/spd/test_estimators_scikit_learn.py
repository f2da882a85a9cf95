"""Which of scikit-learn's estimator checks the estimators pass, and why not the others."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from geometry.spd.estimators import AugmentedCovariances, MinimumDistanceToMean, TangentSpace

SAMPLES = 12


class OnTable:
    """An estimator behind a table's interface, for the checks that hand one over.

    What is not a table of numbers is handed on as it is, for the estimator to judge.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = False
        tags.input_tags.two_d_array = True
        return tags

    def fit(self, X: Any, y: Any = None, *arguments: Any, **options: Any) -> Any:
        return super().fit(self.with_three_axes(X), y, *arguments, **options)

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(self.with_three_axes(X))

    def with_three_axes(self, X: Any) -> Any:
        if scipy.sparse.issparse(X):
            return X
        table = np.asarray(X)
        if table.dtype.kind == "O":
            try:
                table = table.astype(np.float64)
            except (TypeError, ValueError):
                return X
        if table.ndim != 2 or table.dtype.kind not in "iuf":
            return X
        return self.stack(table)


class MatricesOnTable(OnTable):
    """A row becomes the diagonal matrix whose logarithm is its inverse hyperbolic sine."""

    def stack(self, table: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # NaN is the estimator's to find
            return np.exp(np.arcsinh(table))[:, :, None] * np.eye(table.shape[1])


class SpaceOnTable(MatricesOnTable, TangentSpace):
    """TangentSpace behind a table."""


class NearestOnTable(MatricesOnTable, MinimumDistanceToMean):
    """MinimumDistanceToMean behind a table."""


class CovariancesOnTable(OnTable, AugmentedCovariances):
    """AugmentedCovariances behind a table: a channel for each feature, which oscillates."""

    def __init__(self, order: int = 2, lag: int = 1, *, estimator: str = "oas") -> None:
        super().__init__(order, lag, estimator=estimator)

    def stack(self, table: np.ndarray) -> np.ndarray:
        return table[:, :, None] * np.cos(
            np.arange(SAMPLES) * (1 + np.arange(table.shape[1]))[:, None]
        )


NO_TABLE = "matrices and signals are no table of features: "
NOT_APPLICABLE = {
    "check_estimators_empty_data_messages": NO_TABLE + "no axis of features that could be empty",
    "check_fit2d_predict1d": NO_TABLE + "the message speaks of three axes",
    "check_estimator_sparse_tag": NO_TABLE + "no sparse input",
    "check_array_api_input": "runs only under an environment variable of SciPy's",
}


def scikit_learn_checks() -> list[Any]:
    params = []
    for estimator in (CovariancesOnTable(), SpaceOnTable(), NearestOnTable()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs = list(estimator_checks_generator(estimator))
        for instance, check in pairs:
            name = check.func.__name__
            skip = NOT_APPLICABLE.get(name)
            marks = [pytest.mark.skip(reason=skip)] if skip else []
            identifier = f"{type(estimator).__name__}-{name}"
            params.append(pytest.param(instance, check, id=identifier, marks=marks))
    return params


@pytest.mark.parametrize(("estimator", "check"), scikit_learn_checks())
def test_scikit_learn_check_on_a_table(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", [AugmentedCovariances, TangentSpace, MinimumDistanceToMean])
def test_scikit_learn_checks_of_three_axes(kind: type) -> None:
    """All that scikit-learn has for an estimator that declares three axes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert {result["status"] for result in check_estimator(kind())} == {"passed"}
