r"""Riemannian batch normalisation with statistics for each domain (arXiv 2206.01323)."""

from __future__ import annotations

from typing import Any

import torch

from geometry.spd._batch_norm_layer import SPDBatchNorm
from numerics.arrays import Array, as_integer


class DomainSPDBatchNorm(SPDBatchNorm):
    r"""Batch normalisation with statistics for each domain, and parameters that all share.

    A domain is whatever shifts the statistics: a session, a subject (arXiv 2206.01323). Its running
    statistics can be set from unlabelled matrices by :meth:`fit_domain`, which is how a trained
    network adapts to a session that it never saw.

    Parameters
    ----------
    n : int
        Order of the matrices.
    domains : int
        Number of domains.
    **options
        As for :class:`SPDBatchNorm`. The running buffers have a leading axis of domains.

    Examples
    --------
    Two sessions that differ by a congruence become alike.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> A = torch.randn(8, 2, 4, dtype=torch.float64)
    >>> X = A @ A.mT / 4
    >>> G = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    >>> layer = DomainSPDBatchNorm(
    ...     2, 2, metric="log_cholesky", dtype=torch.float64, momentum=None
    ... )
    >>> _ = layer(torch.cat((X, G @ X @ G)), torch.arange(2).repeat_interleave(8))
    >>> first, second = layer.eval()(X, 0), layer(G @ X @ G, 1)
    >>> layer.fit_domain(G @ X @ G, 0)
    >>> torch.allclose(layer(G @ X @ G, 0), second)
    True
    """

    def __init__(self, n: int, domains: int, **options: Any) -> None:
        super().__init__(n, **options)
        self.domains = as_integer("domains", domains, minimum=1)
        self._register_statistics((self.domains,))

    def extra_repr(self) -> str:
        """That of the other layer, with the number of domains."""
        return f"{super().extra_repr()}, domains={self.domains}"

    def forward(self, X: Array, domain: Array | int) -> Array:  # type: ignore[override]
        """Normalise each matrix of (batch, [channels,] n, n) by the statistics of its domain.

        ``domain`` is one number for all, or one a matrix of the batch, (batch,).
        """
        batch = self._prepared(X)
        labels = self._labels(X, domain)
        if self.channels == 1 and X.ndim == 4:
            labels = labels.repeat_interleave(X.shape[1])
        groups = [torch.nonzero(labels == d)[:, 0] for d in range(self.domains)]
        present = [(d, index) for d, index in enumerate(groups) if len(index)]
        results = [
            self._normalized(batch.taken(index), self._statistics_of(d)) for d, index in present
        ]
        order = torch.cat([index for _, index in present]) if present else None
        return self._joined(batch, results, order)

    @torch.no_grad()
    def fit_domain(self, X: Array, domain: int) -> None:
        """Set the running statistics of a domain to the converged mean and variance of X.

        Parameters
        ----------
        X : Tensor, shape (batch, n, n) or (batch, channels, n, n)
            Positive definite.
        domain : int
            Which domain.
        """
        if as_integer("domain", domain, minimum=0) >= self.domains:
            raise ValueError(f"domain must be below {self.domains}, got {domain}")
        batch = self._prepared(X)
        steps, self.mean_steps = self.mean_steps, None
        running_mean, running_var, _ = statistics = self._statistics_of(domain)
        try:
            mean = self._batch_mean(batch, statistics)
        finally:
            self.mean_steps = steps
        _, squared = batch.normalizer.centered(batch.K, mean)
        running_mean.copy_(batch.normalizer.point(mean))
        running_var.copy_(self._batch_var(batch, squared))

    def _labels(self, X: Array, domain: Array | int) -> Array:
        labels = torch.as_tensor(domain, device=X.device)
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise TypeError(f"domain must hold integers, got {labels.dtype}")
        if labels.ndim and labels.shape != X.shape[:1]:
            raise ValueError(f"domain must have shape ({X.shape[0]},), got {tuple(labels.shape)}")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.domains:
            raise ValueError(f"domain must be from 0 to {self.domains - 1}, got {labels.tolist()}")
        return labels.expand(X.shape[0])

    def _statistics_of(self, d: int) -> tuple[Array, ...]:
        return self.running_mean[d], self.running_var[d], self.num_batches_tracked[d]
