"""Which of scikit-learn's estimator checks CompanionForecaster passes, and why not the others."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from ssm.estimators import CompanionForecaster


class FirstColumn(CompanionForecaster):
    """The estimator behind a table's interface, for the checks that hand one over."""

    def __sklearn_tags__(self) -> Any:
        return BaseEstimator.__sklearn_tags__(self)

    def fit(self, X: Any, y: Any = None) -> FirstColumn:
        super().fit(X[:, 0])
        return self

    def predict(self, X: Any) -> np.ndarray:
        return super().predict(len(X))

    def score(self, X: Any, y: Any = None) -> float:
        return super().score(X[:, 0])


TABLE = "a series has no table of features: "
NOT_APPLICABLE = {
    "check_n_features_in_after_fitting": TABLE + "no n_features_in_",
    "check_n_features_in": TABLE + "no n_features_in_",
    "check_estimators_empty_data_messages": TABLE + "no axis of features that could be empty",
    "check_fit1d": TABLE + "one dimension is right",
    "check_fit2d_predict1d": TABLE + "predict takes a horizon",
    "check_fit2d_1sample": TABLE + "the message speaks of values, not of samples",
    "check_estimators_nan_inf": TABLE + "predict takes a horizon, which cannot hold NaN",
    "check_methods_sample_order_invariance": "the order of a series is what is modelled",
    "check_methods_subset_invariance": "a forecast depends on every value of the horizon before it",
    "check_complex_data": "complex values are a TypeError here",
    "check_dtype_object": "object arrays are a TypeError here, whatever they hold",
    "check_estimator_sparse_tag": TABLE + "no sparse input",
    "check_estimator_sparse_array": TABLE + "no sparse input",
    "check_estimator_sparse_matrix": TABLE + "no sparse input",
    "check_array_api_input": "runs only under an environment variable of SciPy's",
}


def scikit_learn_checks() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = list(estimator_checks_generator(FirstColumn()))
    return [
        pytest.param(
            estimator,
            check,
            id=check.func.__name__,
            marks=[pytest.mark.skip(reason=NOT_APPLICABLE[check.func.__name__])]
            if check.func.__name__ in NOT_APPLICABLE
            else [],
        )
        for estimator, check in pairs
    ]


@pytest.mark.parametrize(("estimator", "check"), scikit_learn_checks())
def test_scikit_learn_check_on_a_table(estimator: Any, check: Any) -> None:
    check(estimator)


# Those that hand over no data run on the estimator itself; scikit-learn's own list for an
# estimator that declares one-dimensional input ends after the first.
WITHOUT_DATA = {
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
}


def test_scikit_learn_checks_without_data() -> None:
    ran = set()
    for param in scikit_learn_checks():
        _, check = param.values
        if check.func.__name__ in WITHOUT_DATA:
            check(CompanionForecaster())
            ran.add(check.func.__name__)
    assert ran == WITHOUT_DATA
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [r["status"] for r in check_estimator(CompanionForecaster())] == ["passed"]
