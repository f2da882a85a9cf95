"""Nearest neighbours of delay vectors, over all pairs of times, with early exits.

A pair is left as soon as its distance is beyond that of the best neighbour so far, which for most
pairs is after one or two coordinates.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True)
def neighbor_expansions(x, lag, window, block, sums, counts):
    """How much one more coordinate stretches the distance of the nearest neighbour, summed.

    ``x`` has shape (S, T), and ``sums`` and ``counts`` (S, blocks, dims) have an entry for each
    dimension and each ``block`` of times. The distance is that of the largest coordinate;
    neighbours at distance 0 or within ``window`` samples do not count.
    """
    T = x.shape[1]
    S, blocks, dims = sums.shape
    for flat in prange(S * blocks):
        s, b = flat // blocks, flat % blocks
        best = np.empty(dims)
        nearest = np.empty(dims, np.int64)
        for i in range(b * block, min((b + 1) * block, T - lag)):
            # Number of dimensions in which this time has one coordinate more.
            own = min(dims, (T - 1 - i) // lag)
            best[:own] = np.inf
            nearest[:own] = -1
            limit = np.inf
            for j in range(T - lag):
                if abs(i - j) <= window:
                    continue
                distance = 0.0
                better = False
                for m in range(min(own, (T - 1 - j) // lag)):
                    distance = max(distance, abs(x[s, i + m * lag] - x[s, j + m * lag]))
                    if distance >= limit:
                        break
                    if 0.0 < distance < best[m]:
                        best[m] = distance
                        nearest[m] = j
                        better = True
                if better:
                    limit = np.max(best[:own])
            for m in range(own):
                if nearest[m] >= 0:
                    j = nearest[m]
                    more = abs(x[s, i + (m + 1) * lag] - x[s, j + (m + 1) * lag])
                    sums[s, b, m] += max(best[m], more) / best[m]
                    counts[s, b, m] += 1


@njit(cache=True, parallel=True)
def nearest_delay_vectors(x, delays, window, nearest, distances):
    """Euclidean nearest neighbours among the first times, at a distance above 0.

    ``x`` has shape (S, T), and ``nearest`` and ``distances`` (S, points) have an entry for each
    time that is looked at; -1 where there is no neighbour.
    """
    S, points = nearest.shape
    for flat in prange(S * points):
        s, i = flat // points, flat % points
        best, found = np.inf, -1
        for j in range(points):
            if abs(i - j) <= window:
                continue
            squared = 0.0
            for m in range(len(delays)):
                squared += (x[s, i + delays[m]] - x[s, j + delays[m]]) ** 2
                if squared >= best:
                    break
            if 0.0 < squared < best:
                best, found = squared, j
        nearest[s, i] = found
        distances[s, i] = np.sqrt(best)


@njit(cache=True, parallel=True)
def stretches(x, nearest, distances, stretch, logs, moved, false):
    """How far apart neighbours are some samples later, over their distance now.

    ``logs``, ``moved`` and ``false`` (S, lags) are sums over times: of the logarithm of the
    quotient to base 10 where it is above 0, of how often it is, and of how often above ``stretch``.
    """
    S, points = nearest.shape
    for s in prange(S):
        for i in range(points):
            j = nearest[s, i]
            if j < 0:
                continue
            for h in range(logs.shape[1]):
                quotient = abs(x[s, i + h] - x[s, j + h]) / distances[s, i]
                if quotient > 0.0:
                    logs[s, h] += np.log10(quotient)
                    moved[s, h] += 1
                if quotient > stretch:
                    false[s, h] += 1
