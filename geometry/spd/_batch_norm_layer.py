r"""Riemannian batch normalisation as a torch module.

The bias W, the scale s, and under the Bures-Wasserstein metric its matrix M and exponent theta are
learned, by parametrisations that keep them positive definite and positive under any optimiser. The
mean B and the variance v are those of the batch in training, running ones in evaluation, and
constants on the manifold to gradients: those of training are the gradients of
:func:`geometry.spd.batch_normalize` with B and v fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from geometry.spd._arguments import as_spd
from geometry.spd._metric import DOMAINS, METRICS
from geometry.spd._normalizers import resolve_normalizer
from geometry.spd._parametrizations import Positive, SPDParametrization
from geometry.spd.frechet import frechet_mean
from numerics.arrays import Array, Frame, as_float, as_integer, check_choice

_PLACES = ("identity", "mean")
_STATISTICS = ("batch", "running")


class SPDBatchNorm(nn.Module):
    r"""Batch normalisation of positive definite matrices.

    Parameters
    ----------
    n : int
        Order of the matrices.
    metric : {"bures_wasserstein", "affine_invariant", "log_euclidean", "log_cholesky"}
        Metric.
    momentum : float or None
        Weight of a new batch in the running statistics, along a geodesic for the mean. None takes
        the average of all batches.
    eps : float
        Added to the variance.
    mean_steps : int or None
        Fixed-point steps from the arithmetic mean of a batch. None iterates to convergence,
        starting at the running mean. Flat metrics have closed forms.
    variance_about : {"mean", "identity"}
        Where from the variance is taken.
    training_statistics : {"batch", "running"}
        With which to normalise in training: those of the batch, or the running ones after they
        have taken it in.
    learn_metric : bool, optional
        Learn the matrix of the generalised Bures-Wasserstein metric; so by default under that
        metric. Otherwise there is none.
    theta : float, optional
        Exponent of the power-deformed Bures-Wasserstein metric, positive; 1 by default.
    learn_theta : bool
        Learn the exponent.
    domain : {"fold", "clip", "raise"}
        What to do where a Bures-Wasserstein geodesic leaves the manifold, see
        :func:`geometry.spd.batch_normalize`.
    channels : int
        With 1, all channels of the input share parameters and statistics; with more, every channel
        has its own.
    parametrized : bool
        Parametrise bias and metric matrix. Without it they are plain parameters, to be replaced by
        those of a library of Riemannian optimisers.
    check : bool
        Look at the values of the input.
    device, dtype : optional
        Of parameters and statistics. Matrices of order n are computed with in double precision.

    Attributes
    ----------
    bias : Tensor, shape (n, n) or (channels, n, n)
        W, the mean of the output; the identity at first. Like all parameters it is set by its
        value: ``layer.bias = W``.
    scale : Tensor, shape () or (channels,)
        s, the standard deviation of the output.
    metric_matrix : Tensor, shape (n, n) or (channels, n, n), or None
        M.
    theta : Tensor, shape (), or None
        Exponent.
    running_mean : Tensor, shape (n, n) or (channels, n, n)
        On the manifold.
    running_var : Tensor, shape () or (channels,)
        Running variance.
    num_batches_tracked : Tensor, shape ()
        Batches that the running statistics have taken in.
    outside : Tensor, shape ()
        Matrices of the last input whose geodesics left the manifold.

    Notes
    -----
    With a converged mean (``mean_steps=None``), ``eps=0`` and nothing outside, the output of
    training has Frechet mean W and variance exactly :math:`s^2`. The defaults miss it: the variance
    is the smaller by the factor :math:`v / (v + \varepsilon)`, and one step leaves the mean a few
    per cent off for condition numbers around 100, a third for 1e10.

    References
    ----------
    arXiv 2504.00660 (Bures-Wasserstein), arXiv 1909.02414 and arXiv 2206.01323 (affine-invariant),
    arXiv 2403.11261 (flat metrics).

    Examples
    --------
    >>> import torch
    >>> from geometry.spd import frechet_mean, frechet_variance
    >>> _ = torch.manual_seed(0)
    >>> A = torch.randn(20, 3, 6, dtype=torch.float64)
    >>> layer = SPDBatchNorm(3, mean_steps=None, eps=0.0, dtype=torch.float64)
    >>> layer.scale = 0.5
    >>> X = layer(A @ A.mT / 6).detach()
    >>> torch.allclose(frechet_mean(X, metric="bures_wasserstein"), layer.bias)
    True
    >>> round(float(frechet_variance(X, metric="bures_wasserstein")), 12)
    0.25
    """

    def __init__(
        self,
        n: int,
        *,
        metric: str = "bures_wasserstein",
        momentum: float | None = 0.1,
        eps: float = 1e-5,
        mean_steps: int | None = 1,
        variance_about: str = "mean",
        training_statistics: str = "batch",
        learn_metric: bool | None = None,
        theta: float | None = None,
        learn_theta: bool = False,
        domain: str = "fold",
        channels: int = 1,
        parametrized: bool = True,
        check: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_choice("metric", metric, METRICS)
        check_choice("variance_about", variance_about, _PLACES)
        check_choice("training_statistics", training_statistics, _STATISTICS)
        check_choice("domain", domain, DOMAINS)
        self.n = as_integer("n", n, minimum=1)
        self.channels = as_integer("channels", channels, minimum=1)
        self.metric, self.domain, self.check = metric, domain, check
        self.momentum = None if momentum is None else as_float("momentum", momentum, positive=True)
        self.eps = as_float("eps", eps)
        if self.eps < 0:
            raise ValueError(f"eps must not be negative, got {eps}")
        if mean_steps is not None:
            mean_steps = as_integer("mean_steps", mean_steps, minimum=0)
        self.mean_steps = mean_steps
        self.variance_about, self.training_statistics = variance_about, training_statistics
        self._batch = () if channels == 1 else (channels,)
        self._kind = {"device": device, "dtype": dtype}
        bures = metric == "bures_wasserstein"
        deformed = {"learn_metric": learn_metric, "theta": theta, "learn_theta": learn_theta}
        for name, value in deformed.items():
            if value and not bures:
                raise ValueError(
                    f"{name} must be left out unless metric is 'bures_wasserstein', got metric "
                    f"{metric!r}"
                )
        self.bias = nn.Parameter(self._identities(self._batch))
        self.scale = nn.Parameter(torch.ones(self._batch, **self._kind))
        register_parametrization(self, "scale", Positive())
        self.register_parameter("metric_matrix", None)
        if bures and learn_metric is not False:
            self.metric_matrix = nn.Parameter(self._identities(self._batch))
        exponent = None
        if bures:
            value = 1.0 if theta is None else as_float("theta", theta, positive=True)
            exponent = torch.tensor(value, **self._kind)
        if learn_theta:
            self.theta = nn.Parameter(exponent)
            register_parametrization(self, "theta", Positive())
        else:
            self.register_buffer("theta", exponent)
        if parametrized:
            for name in ("bias", "metric_matrix"):
                if getattr(self, name) is not None:
                    register_parametrization(self, name, SPDParametrization())
        self._register_statistics(())
        outside = torch.zeros((), dtype=torch.int64, device=device)
        self.register_buffer("outside", outside, persistent=False)

    @classmethod
    def published(
        cls,
        n: int,
        *,
        theta: float = 1.0,
        channels: int = 1,
        dtype: torch.dtype | None = None,
    ) -> SPDBatchNorm:
        """Layer with the choices of the paper's released code.

        One fixed-point step from the arithmetic mean, the variance about the identity, folding,
        and a fixed exponent. Gradients are exact here, those of the release are not where theta is
        not 1. Running means are kept on the manifold, not in the coordinates of a matrix M that
        changes.

        Parameters
        ----------
        n : int
            Order of the matrices.
        theta : float
            Exponent.
        channels : int
            As for the layer.
        dtype : torch.dtype, optional
            Of parameters and statistics.

        Returns
        -------
        SPDBatchNorm
            The layer.
        """
        return cls(n, theta=theta, channels=channels, variance_about="identity", dtype=dtype)

    def extra_repr(self) -> str:
        """Order, metric, and what differs between layers most often."""
        return (
            f"{self.n}, metric={self.metric!r}, momentum={self.momentum}, eps={self.eps}, "
            f"mean_steps={self.mean_steps}, variance_about={self.variance_about!r}, "
            f"channels={self.channels}"
        )

    def forward(self, X: Array) -> Array:
        """Normalise matrices (batch, n, n) or (batch, channels, n, n)."""
        batch = self._prepared(X)
        return self._joined(batch, [self._normalized(batch, self._statistics())])

    def _prepared(self, X: Array) -> BatchCoordinates:
        """Check the input, and take it to the coordinates of the metric."""
        self._check_input(X)
        theta = self.theta
        if theta is not None and not theta.requires_grad and bool(theta == 1):
            theta = None
        # Few operations find the usual input in order; what fails gets a closer look.
        if self.check and X.dtype == torch.float64 and _in_order(X.detach()):
            A = X if torch.equal(X, X.mT) else (X + X.mT) / 2
        else:
            _, A = as_spd(X=X, check=self.check)
        # What parametrisations give needs no second look.
        frame, bias, M, theta = as_spd(
            bias=self.bias, M=self.metric_matrix, theta=theta, scalars=("theta",), check=False
        )
        if self.channels == 1 and X.ndim == 4:
            A = A.flatten(0, 1)
        normalizer = resolve_normalizer(frame, self.metric, M, theta)
        K, W = normalizer.coordinates(A), normalizer.coordinates(bias)
        return BatchCoordinates(X, frame, normalizer, A, K, W)

    def _check_input(self, X: Array) -> None:
        if not isinstance(X, torch.Tensor):
            raise TypeError(f"X must be a torch tensor, got {type(X).__name__}")
        wanted = [f"(batch, {self.n}, {self.n})"] if self.channels == 1 else []
        k = "channels" if self.channels == 1 else self.channels
        wanted.append(f"(batch, {k}, {self.n}, {self.n})")
        fits = X.ndim == 4 if self.channels > 1 else X.ndim in (3, 4)
        fits = fits and tuple(X.shape[-2:]) == (self.n, self.n)
        if not fits or (self.channels > 1 and X.shape[1] != self.channels):
            raise ValueError(f"X must have shape {' or '.join(wanted)}, got {tuple(X.shape)}")
        if X.dtype != self.running_var.dtype:
            raise TypeError(
                f"X must have the layer's dtype {self.running_var.dtype}, got {X.dtype}; "
                "layer.to(dtype) changes it"
            )

    def _normalized(
        self, batch: BatchCoordinates, statistics: tuple[Array, ...]
    ) -> tuple[Array, Array]:
        """Normalise matrices of one set of statistics, which training updates."""
        normalizer, K = batch.normalizer, batch.K
        running_mean, running_var, _ = statistics
        if not self.training:
            mean = normalizer.coordinates(running_mean.double())
            centered, _ = normalizer.centered(K, mean)
            var = running_var
        elif self.training_statistics == "running":
            momentum = self._momentum(batch, statistics, least=1)
            self._update_mean(batch, running_mean, self._batch_mean(batch, statistics), momentum)
            mean = normalizer.coordinates(running_mean.double())
            centered, squared = normalizer.centered(K, mean)
            self._update_var(running_var, self._batch_var(batch, squared), momentum)
            var = running_var.clone()
        else:
            momentum = self._momentum(batch, statistics, least=2)
            mean = self._batch_mean(batch, statistics)
            centered, squared = normalizer.centered(K, normalizer.constant(mean))
            var = self._batch_var(batch, squared)
            self._update_mean(batch, running_mean, mean, momentum)
            self._update_var(running_var, var, momentum)
        factor = self.scale.double() / (var.double() + self.eps).sqrt()
        return normalizer.placed(centered, factor, batch.bias, self.domain)

    def _joined(
        self,
        batch: BatchCoordinates,
        results: list[tuple[Array, Array]],
        order: Array | None = None,
    ) -> Array:
        """Results of groups as one, in the shape and precision of the input."""
        outside = [part.sum() for _, part in results]
        count = torch.zeros((), dtype=torch.int64, device=batch.X.device)
        self.outside = torch.stack([count, *outside]).sum()
        parts = [part for part, _ in results]
        result = parts[0] if len(parts) == 1 else torch.cat(parts) if parts else batch.A
        if order is not None:
            result = torch.empty_like(result).index_copy(0, order, result)
        return result.reshape(batch.X.shape).to(batch.X.dtype)

    def _momentum(
        self, batch: BatchCoordinates, statistics: tuple[Array, ...], *, least: int
    ) -> float:
        """Weight of this batch in the running statistics."""
        if batch.K.shape[0] < least:
            raise ValueError(
                f"X must hold {least} or more matrices to take statistics of in training, got "
                f"{batch.K.shape[0]}"
            )
        count = statistics[2]
        count += 1
        return 1 / float(count) if self.momentum is None else self.momentum

    @torch.no_grad()
    def _batch_mean(self, batch: BatchCoordinates, statistics: tuple[Array, ...]) -> Array:
        """Coordinates of the mean of the batch, a constant."""
        normalizer = batch.normalizer
        if self.mean_steps is not None or self.metric.startswith("log"):
            return normalizer.mean(batch.K, self.mean_steps or 0)
        running_mean, _, count = statistics
        options = {}
        if self.metric == "bures_wasserstein":
            C, theta = normalizer.C, normalizer.theta
            options = {"M": None if C is None else C @ C.mT, "theta": theta}
        samples = batch.A.movedim(0, -3)
        init = running_mean.double() if int(count) > 1 else None
        mean = frechet_mean(samples, metric=self.metric, init=init, check=False, **options)
        return normalizer.coordinates(mean)

    @torch.no_grad()
    def _batch_var(self, batch: BatchCoordinates, squared: Array) -> Array:
        if self.variance_about == "identity":
            squared = batch.normalizer.squared_from_identity(batch.K)
        return squared.mean(0)

    @torch.no_grad()
    def _update_mean(
        self, batch: BatchCoordinates, running_mean: Array, mean: Array, momentum: float
    ) -> None:
        normalizer = batch.normalizer
        before = normalizer.coordinates(running_mean.double())
        t = torch.tensor(momentum, dtype=torch.float64, device=mean.device)
        running_mean.copy_(normalizer.point(normalizer.between(before, mean, t)))

    @torch.no_grad()
    def _update_var(self, running_var: Array, var: Array, momentum: float) -> None:
        running_var.lerp_(var.to(running_var.dtype), momentum)

    def _statistics(self) -> tuple[Array, ...]:
        return self.running_mean, self.running_var, self.num_batches_tracked

    def _identities(self, batch: tuple[int, ...]) -> Array:
        return torch.eye(self.n, **self._kind).expand(*batch, self.n, self.n).clone()

    def _register_statistics(self, domains: tuple[int, ...]) -> None:
        several = (*domains, *self._batch)
        self.register_buffer("running_mean", self._identities(several))
        self.register_buffer("running_var", torch.ones(several, **self._kind))
        count = torch.zeros(domains, dtype=torch.int64, device=self._kind["device"])
        self.register_buffer("num_batches_tracked", count)


@dataclass(frozen=True)
class BatchCoordinates:
    """Input X as matrices A in one axis of samples, and their coordinates and those of the bias."""

    X: Array
    frame: Frame
    normalizer: Any
    A: Array
    K: Array
    bias: Array

    def taken(self, index: Array) -> BatchCoordinates:
        """Some of the matrices."""
        return replace(self, A=self.A[index], K=self.K[index])


def _in_order(X: Array) -> bool:
    """Whether matrices are clearly finite, symmetric and positive definite."""
    if X.numel() == 0:
        return False
    difference = (X - X.mT).abs().max()
    least = X.diagonal(dim1=-2, dim2=-1).amax(-1).amin()
    if not torch.isfinite(X.sum()) & (difference <= 1e-8 * least):
        return False
    return not torch.linalg.cholesky_ex(X).info.any()
