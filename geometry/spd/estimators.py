"""Estimators with scikit-learn's protocol for positive definite matrices and signals.

:class:`AugmentedCovariances` makes matrices of signals, :class:`TangentSpace` makes vectors of
matrices for any classifier, and :class:`MinimumDistanceToMean` is a classifier of matrices. They
chain with each other and with pyRiemann's estimators, whose shapes they share: signals
(n_signals, n_channels, n_times) and matrices (n_matrices, n, n), as NumPy arrays. Every formula is
a function of :mod:`geometry.spd`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from geometry.spd._arguments import as_spd
from geometry.spd._estimator_input import (
    OnManifold,
    three_dimensional,
    validated,
    validated_weights,
    validated_with_labels,
)
from geometry.spd._tangent_coordinates import tangent_vectors
from geometry.spd.augmented import ESTIMATORS, augmented_covariance, check_embedding
from geometry.spd.embedding_selection import select_embedding
from geometry.spd.frechet import frechet_mean
from geometry.spd.pairwise import pairwise_distance
from numerics.arrays import check_choice

_SELECTIONS = ("mdop", "traditional")


class AugmentedCovariances(TransformerMixin, BaseEstimator):
    r"""Covariance matrices of delay-embedded signals (arXiv 2302.04508).

    Takes the place of ``pyriemann.estimation.Covariances``, whose matrices are those of
    ``order=1``. A grid search over ``order`` and ``lag`` fits them to the classifier that follows.

    Parameters
    ----------
    order : int
        Number p of values side by side.
    lag : int
        Samples between them.
    estimator : {"cov", "scm", "ledoit_wolf", "oas", "toeplitz"}
        As for :func:`geometry.spd.augmented_covariance`. "ledoit_wolf" or "oas" where ``order``
        times the number of channels comes near the number of samples.
    trim : {"full", "moabb"}
        As for :func:`geometry.spd.delay_embedding`.
    selection : {None, "traditional", "mdop"}
        Take order and lag from the signals, by :func:`geometry.spd.select_embedding`, up to the
        ``order`` and ``lag`` given. Labels are not looked at.

    Attributes
    ----------
    order_, lag_ : int
        Those in use.
    n_features_in_ : int
        Number of channels.

    See Also
    --------
    geometry.spd.augmented_covariance, geometry.spd.select_embedding

    References
    ----------
    arXiv 2302.04508.

    Examples
    --------
    Rotations to the left and to the right have equal covariances and different augmented ones.

    >>> import numpy as np
    >>> t = np.arange(100)
    >>> left = np.stack([np.cos(t), np.sin(t)])
    >>> signals = np.stack([left, left[:, ::-1]])
    >>> for order in (1, 2):
    ...     a, b = AugmentedCovariances(order, estimator="scm").fit_transform(signals)
    ...     print(np.allclose(a, b))
    True
    False
    """

    def __init__(
        self,
        order: int = 2,
        lag: int = 1,
        *,
        estimator: str = "cov",
        trim: str = "full",
        selection: str | None = None,
    ) -> None:
        self.order = order
        self.lag = lag
        self.estimator = estimator
        self.trim = trim
        self.selection = selection

    def fit(self, X: np.ndarray, y: Any = None) -> AugmentedCovariances:
        """Choose order and lag, if they are to be chosen, and learn the number of channels.

        Parameters
        ----------
        X : ndarray, shape (n_signals, n_channels, n_times)
            Real, finite signals.
        y : None
            Not looked at.

        Returns
        -------
        AugmentedCovariances
            The estimator itself.

        Raises
        ------
        TypeError
            If ``X`` is a torch tensor.
        ValueError
            If ``X`` is not of this shape or has too few samples for order and lag, and for
            unknown choices.
        """
        X = validated(self, X, "(n_signals, n_channels, n_times)", reset=True)
        check_choice("estimator", self.estimator, ESTIMATORS)
        order, lag = self.order, self.lag
        if self.selection is not None:
            check_choice("selection", self.selection, _SELECTIONS)
            order, lag = select_embedding(X, method=self.selection, max_order=order, max_lag=lag)
        self.order_, self.lag_ = check_embedding(X, order, lag, self.trim)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Covariances of delay-embedded signals.

        Parameters
        ----------
        X : ndarray, shape (n_signals, n_channels, n_times)
            Real, finite signals; their length need not be that of the fit.

        Returns
        -------
        ndarray, shape (n_signals, p n_channels, p n_channels)
            With the order p of ``order_``, in the precision of ``X``.
        """
        check_is_fitted(self)
        X = validated(self, X, "(n_signals, n_channels, n_times)", reset=False)
        return augmented_covariance(
            X, self.order_, self.lag_, estimator=self.estimator, trim=self.trim
        )

    def __sklearn_tags__(self) -> Tags:
        return three_dimensional(super().__sklearn_tags__())


class TangentSpace(TransformerMixin, OnManifold):
    r"""Coordinates of matrices in the tangent space at their mean.

    A matrix X becomes the vector of :math:`\operatorname{Log}_P X`, with P the Frechet mean of the
    matrices that were fitted, in coordinates that are orthonormal under the metric: the Euclidean
    norm of the vector is the distance of X from P.

    Parameters
    ----------
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : ndarray, shape (n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float, optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.

    Attributes
    ----------
    reference_ : ndarray, shape (n, n)
        The mean P.
    n_features_in_ : int
        Order n of the matrices.

    See Also
    --------
    geometry.spd.log, geometry.spd.frechet_mean

    Notes
    -----
    For "affine_invariant" the coordinates are those of ``pyriemann.tangentspace.TangentSpace``.

    References
    ----------
    Barachant, Bonnet, Congedo, Jutten, IEEE Trans. Biomed. Eng. 59 (2012) 920-928.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([np.diag([1.0, 1.0]), np.diag([np.e, np.e])])
    >>> space = TangentSpace().fit(X)
    >>> space.transform(X)
    array([[-0.5,  0. , -0.5], [ 0.5,  0. ,  0.5]])
    """

    def fit(self, X: np.ndarray, y: Any = None, sample_weight: Any = None) -> TangentSpace:
        """Take the mean of matrices.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.
        y : None
            Not looked at.
        sample_weight : ndarray, shape (n_matrices,), optional
            Weights in the mean, at least 0.

        Returns
        -------
        TangentSpace
            The estimator itself.

        Raises
        ------
        TypeError
            If ``X`` is a torch tensor.
        ValueError
            If a matrix is not positive definite, with its index; for ``M`` or ``theta`` with a
            metric that has none.

        Warns
        -----
        ConvergenceWarning
            If the mean did not converge.
        """
        X = self._matrices(X, reset=True)
        self._check_metric(X.shape[-1])
        weights = None if sample_weight is None else validated_weights(sample_weight, X)
        self.reference_ = frechet_mean(X, weights=weights, **self._metric())
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of matrices.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.

        Returns
        -------
        ndarray, shape (n_matrices, n (n + 1) / 2)
            float64.
        """
        check_is_fitted(self)
        X = self._matrices(X, reset=False)
        frame, X, P, M, theta = as_spd(
            X=X, P=self.reference_, M=self.M, theta=self.theta, scalars=("theta",), check=False
        )
        return tangent_vectors(frame, X, P, self.metric, M, theta)


class MinimumDistanceToMean(ClassifierMixin, TransformerMixin, OnManifold):
    """Classifier by the nearest of the classes' Frechet means.

    Parameters
    ----------
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : ndarray, shape (n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float, optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels.
    means_ : ndarray, shape (n_classes, n, n)
        Means of the classes.
    n_features_in_ : int
        Order n of the matrices.

    See Also
    --------
    geometry.spd.pairwise_distance, geometry.spd.frechet_mean

    References
    ----------
    Barachant, Bonnet, Congedo, Jutten, IEEE Trans. Biomed. Eng. 59 (2012) 920-928.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([np.diag([s, 1.0]) for s in (1.0, 2.0, 8.0, 9.0)])
    >>> classifier = MinimumDistanceToMean().fit(X, ["small", "small", "large", "large"])
    >>> classifier.predict(np.array([np.diag([3.0, 1.0])]))
    array(['small'], dtype='<U5')
    """

    def fit(self, X: np.ndarray, y: Any, sample_weight: Any = None) -> MinimumDistanceToMean:
        """Take the mean of each class.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.
        y : array_like, shape (n_matrices,)
            Labels.
        sample_weight : ndarray, shape (n_matrices,), optional
            Weights in the means, at least 0.

        Returns
        -------
        MinimumDistanceToMean
            The estimator itself.

        Raises
        ------
        TypeError
            If ``X`` is a torch tensor.
        ValueError
            If a matrix is not positive definite, with its index; for ``M`` or ``theta`` with a
            metric that has none; for labels that are not classes.

        Warns
        -----
        ConvergenceWarning
            If a mean did not converge.
        """
        X, y = validated_with_labels(self, X, y)
        self._check_metric(X.shape[-1])
        weights = np.ones(len(X)) if sample_weight is None else validated_weights(sample_weight, X)
        # A class whose matrices all have weight 0 has no mean.
        self.classes_ = np.unique(y[weights > 0])
        members = [np.flatnonzero((y == label) & (weights > 0)) for label in self.classes_]
        self.means_ = np.stack(
            [frechet_mean(X[own], weights=weights[own], **self._metric()) for own in members]
        )
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Distances from the means of the classes.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.

        Returns
        -------
        ndarray, shape (n_matrices, n_classes)
        """
        check_is_fitted(self)
        X = self._matrices(X, reset=False)
        return pairwise_distance(X, self.means_, **self._metric(), check=False)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Labels of the nearest means.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.

        Returns
        -------
        ndarray, shape (n_matrices,)
        """
        nearest = np.argmin(self.transform(X), axis=1)
        return self.classes_[nearest]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        r"""Softmax of the squared distances' negatives, one column a class.

        Parameters
        ----------
        X : ndarray, shape (n_matrices, n, n)
            Symmetric positive definite.

        Returns
        -------
        ndarray, shape (n_matrices, n_classes)
            Rows that add up to 1.
        """
        return softmax(-(self.transform(X) ** 2), axis=1)
