r"""Compiled Bures-Wasserstein distances of all pairs; callers have checked everything.

For triangular square roots K and L the squared distance is :math:`\lVert K\rVert_F^2 +
\lVert L\rVert_F^2 - 2 \lVert K^T L\rVert_*`, and the nuclear norm needs no singular value. One L
and eight K fill the lanes of a vector: :math:`K^T L` is made bidiagonal by Householder reflections,
the same for all lanes, and for the bidiagonal B, with squared entries :math:`q_i` and
:math:`f_i`,

.. math:: \lVert B \rVert_* = \operatorname{tr} (B^T B)^{1/2} \approx
          \sum_k c_k \operatorname{tr} B^T B (B^T B + \sigma_k I)^{-1} .

The nodes are those of a rational approximation with uniform relative error, and the traces follow
from the stationary quotient-difference recurrence and its derivative in :math:`\sigma`, in which
every term is positive:

.. math:: \operatorname{tr} = \sum_i \frac{q_i + p_i}{q_i + s_i}, \qquad
          s_{i+1} = \sigma + \frac{f_i s_i}{q_i + s_i}, \qquad
          p_{i+1} = \frac{f_i (s_i^2 + q_i p_i)}{(q_i + s_i)^2} .
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

LANES = 8


@njit(cache=True, parallel=True, error_model="numpy")
def all_pairs(roots, blocks, traces, block_traces, triangle, cancelled, nodes, weights, out):
    """Squared distances (N, K); those below ``cancelled`` of the traces' sum are left negative.

    ``roots`` (N, n, n) are lower triangular, and so are ``blocks`` (B, n, n, LANES); ``nodes`` and
    ``weights`` (classes, count) are those of :func:`bidiagonal_nuclear_norm`. With ``triangle``
    only columns beyond the row are computed.
    """
    N = roots.shape[0]
    norms = blocks, nodes, weights
    # A row and its mirror image make equal work of a triangle.
    for task in prange((N + 1) // 2):
        first = np.int64(task)
        last = N - 1 - first
        _row(first, roots, norms, traces, block_traces, triangle, cancelled, out[first])
        if last != first:
            _row(last, roots, norms, traces, block_traces, triangle, cancelled, out[last])


@njit(cache=True, parallel=True)
def aligned_pairs(roots, others, rows, columns, out):
    """Squared distances (P,) of aligned square roots, for pairs of ``rows`` and ``columns``."""
    for p in prange(rows.shape[0]):
        L, K = roots[rows[p]], others[columns[p]]
        Y, _, Zh = np.linalg.svd(np.dot(K.T, L))
        out[p] = np.sum((np.dot(K, np.dot(Y, Zh)) - L) ** 2)


@njit(error_model="numpy")
def _row(i, roots, norms, traces, block_traces, triangle, cancelled, out):
    """One row of all pairs."""
    blocks, nodes, weights = norms
    n = roots.shape[1]
    W, v, w = np.empty(n * n * LANES), np.empty(n * LANES), np.empty(n * LANES)
    q, f, lanes = np.empty(n * LANES), np.zeros(n * LANES), np.empty(3 * LANES)
    scratch = np.empty((4, nodes.shape[1]))
    for block in range((i + 1) // LANES if triangle else 0, blocks.shape[0]):
        _products(roots[i], blocks[block].ravel(), W)
        _bidiagonalize(W, q, f, v, w, lanes, n)
        start = block * LANES
        for j in range(max(start, i + 1 if triangle else 0), min(start + LANES, out.shape[0])):
            norm = bidiagonal_nuclear_norm(q, f, j - start, n, nodes, weights, scratch)
            total = traces[i] + block_traces[j]
            squared = total - 2 * norm
            out[j] = squared if squared > cancelled * total else -1.0


@njit(error_model="numpy")
def bidiagonal_nuclear_norm(q, f, lane, n, nodes, weights, scratch):
    """Sum of the singular values of one lane's bidiagonal matrix, of squared entries q and f.

    The classes of ``nodes`` are for squared singular values in [10**-4, 1], [10**-8, 1], and so on;
    what is below the last one's is at rounding level. Unused nodes have weight zero.
    """
    largest = 0.0
    for i in range(n):
        largest += q[i * LANES + lane] + f[i * LANES + lane]
    if largest == 0.0:
        return 0.0
    # Twice the recurrence at zero bounds the smallest value from below, by the inverse's trace.
    slope, inverse = 1.0, largest / q[lane]
    for i in range(1, n):
        before = (i - 1) * LANES + lane
        slope = 1.0 + f[before] / q[before] * slope
        inverse += slope * (largest / q[i * LANES + lane])
    kind, width = 0, 1e4
    while kind < nodes.shape[0] - 1 and not inverse <= width:
        kind += 1
        width *= 1e4
    count = 0
    while count < nodes.shape[1] and weights[kind, count] != 0.0:
        count += 1
    sigma, s, p, total = scratch[0], scratch[1], scratch[2], scratch[3]
    for k in range(count):
        sigma[k] = nodes[kind, k]
        s[k], p[k], total[k] = sigma[k], 0.0, 0.0
    for i in range(n):
        a, b = q[i * LANES + lane] / largest, f[i * LANES + lane] / largest
        for k in range(count):
            r = 1.0 / (a + s[k])
            total[k] += (a + p[k]) * r
            p[k] = b * r * r * (s[k] * s[k] + a * p[k])
            s[k] = b * r * s[k] + sigma[k]
    norm = 0.0
    for k in range(count):
        norm += weights[kind, k] * total[k]
    return norm * np.sqrt(largest)


@njit
def _products(L, K, W):
    """All lanes of K^T L, transposed, for lower triangular factors."""
    n = L.shape[0]
    W[:] = 0.0
    for a in range(n):
        for c in range(a, n):
            for b in range(c + 1):
                _add_multiple(W, (a * n + b) * LANES, L[c, a], K, (c * n + b) * LANES)


@njit(error_model="numpy")
def _bidiagonalize(W, q, f, v, w, lanes, n):
    """Squared entries of upper bidiagonal matrices with the singular values of W's lanes.

    Flat arrays of lanes: W (n, n) is lost, v and w (n,) and ``lanes`` (3,) are scratch.
    """
    tau, scale = lanes[LANES : 2 * LANES], lanes[2 * LANES :]
    for k in range(n):
        lanes[:LANES] = 0.0
        for i in range(k + 1, n):
            place = (i * n + k) * LANES
            _add_product(lanes, 0, W, place, W, place)
        _reflector(W[(k * n + k) * LANES :], lanes, q[k * LANES :], v[k * LANES :], tau, scale)
        for i in range(k + 1, n):
            for lane in range(LANES):
                v[i * LANES + lane] = W[(i * n + k) * LANES + lane] * scale[lane]
        w[(k + 1) * LANES :] = 0.0
        for i in range(k, n):
            for j in range(k + 1, n):
                _add_product(w, j * LANES, v, i * LANES, W, (i * n + j) * LANES)
        for j in range(k + 1, n):
            for lane in range(LANES):
                w[j * LANES + lane] *= tau[lane]
        for i in range(k, n):
            for j in range(k + 1, n):
                _add_product(W, (i * n + j) * LANES, v, i * LANES, w, j * LANES)
        if k + 1 == n:
            break
        lanes[:LANES] = 0.0
        for j in range(k + 2, n):
            place = (k * n + j) * LANES
            _add_product(lanes, 0, W, place, W, place)
        head = W[(k * n + k + 1) * LANES :]
        _reflector(head, lanes, f[k * LANES :], w[(k + 1) * LANES :], tau, scale)
        for j in range(k + 2, n):
            for lane in range(LANES):
                w[j * LANES + lane] = W[(k * n + j) * LANES + lane] * scale[lane]
        for i in range(k + 1, n):
            lanes[:LANES] = 0.0
            for j in range(k + 1, n):
                _add_product(lanes, 0, W, (i * n + j) * LANES, w, j * LANES)
            for lane in range(LANES):
                lanes[lane] *= tau[lane]
            for j in range(k + 1, n):
                _add_product(W, (i * n + j) * LANES, lanes, 0, w, j * LANES)


@njit(error_model="numpy")
def _reflector(head, rest, squared, direction, tau, scale):
    """Householder reflection of vectors with first entries ``head`` and ``rest`` squared.

    I + tau u u^T with u = (1, scale times the other entries) leaves one entry, given squared.
    """
    for lane in range(LANES):
        a = head[lane]
        length = np.sqrt(a * a + rest[lane])
        image = -length if a > 0.0 else length
        squared[lane] = length * length
        direction[lane] = 1.0
        tau[lane] = (a - image) / image if rest[lane] > 0.0 else 0.0
        scale[lane] = 1.0 / (a - image) if rest[lane] > 0.0 else 0.0


@intrinsic
def _add_product(typingctx, target, i, x, j, y, k):
    """target[i : i + LANES] += x[j : j + LANES] * y[k : k + LANES]."""

    def codegen(context, builder, signature, args):
        arrays = zip(signature.args[::2], args[::2], args[1::2], strict=True)
        place, *factors = (_lanes(context, builder, *given) for given in arrays)
        _accumulate(builder, place, *(builder.load(factor, align=8) for factor in factors))
        return context.get_dummy_value()

    return types.void(target, types.intp, x, types.intp, y, types.intp), codegen


@intrinsic
def _add_multiple(typingctx, target, i, x, y, k):
    """target[i : i + LANES] += x * y[k : k + LANES]."""

    def codegen(context, builder, signature, args):
        target, i, x, y, k = args
        place = _lanes(context, builder, signature.args[0], target, i)
        factor = _lanes(context, builder, signature.args[3], y, k)
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            vector = builder.insert_element(vector, x, ir.Constant(ir.IntType(32), lane))
        _accumulate(builder, place, vector, builder.load(factor, align=8))
        return context.get_dummy_value()

    return types.void(target, types.intp, types.float64, y, types.intp), codegen


_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


def _lanes(context, builder, kind, array, position):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [position]), _VECTOR.as_pointer())


def _accumulate(builder, place, x, y):
    product = builder.fmul(x, y, flags=("contract",))
    total = builder.fadd(builder.load(place, align=8), product, flags=("contract",))
    builder.store(total, place, align=8)
