"""Representations of groups against permutations, and the reflections they take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ssm import group_representation, min_reflections

ORDERS = {
    "Z2": 2,
    "Z3": 3,
    "Z12": 12,
    "D2": 4,
    "D5": 10,
    "D8": 16,
    "S3": 6,
    "A4": 12,
    "S4": 24,
    "A5": 60,
    "S5": 120,
}
REFLECTIONS = {"Z2": 1, "S5": 4}


@pytest.mark.parametrize("name", ORDERS)
def test_matrices_multiply_by_the_table(xp, name):
    elements, table = group_representation(name, like=xp.asarray([1.0]))
    elements, table = xp.numpy(elements), np.asarray(table)
    order, d, _ = elements.shape
    assert order == ORDERS[name]
    assert table.dtype == np.int64
    products = elements[:, None] @ elements[None]
    # A5's matrices are products of up to ten generators.
    tolerance = (1e-6 if xp.single else 2e-14) * d
    np.testing.assert_allclose(products, elements[table], atol=tolerance)
    turned = elements.swapaxes(1, 2) @ elements
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(d), turned.shape), atol=tolerance)


@pytest.mark.parametrize("name", ORDERS)
def test_the_table_is_a_group_and_the_representation_faithful(name):
    elements, table = group_representation(name)
    order = len(elements)
    np.testing.assert_array_equal(table[0], np.arange(order))
    np.testing.assert_array_equal(table[:, 0], np.arange(order))
    np.testing.assert_array_equal(
        np.sort(table, axis=0), np.broadcast_to(np.arange(order)[:, None], table.shape)
    )
    # (a b) c = a (b c) for all triples.
    np.testing.assert_array_equal(table[table], table[np.arange(order)[:, None, None], table[None]])
    distances = np.abs(elements[:, None] - elements[None]).max(axis=(2, 3))
    assert distances[~np.eye(order, dtype=bool)].min() > 0.2


@pytest.mark.parametrize("name", ["S3", "A4", "S4", "A5", "S5"])
def test_elements_are_the_permutations_in_order(name):
    n = int(name[1])
    matrices = [np.eye(n)[:, list(p)] for p in itertools.permutations(range(n))]
    if name[0] == "A":
        matrices = [P for P in matrices if np.linalg.det(P) > 0]
    _, table = group_representation(name)
    for i, j in np.random.default_rng(0).integers(len(matrices), size=(200, 2)):
        np.testing.assert_array_equal(matrices[i] @ matrices[j], matrices[table[i, j]])


@pytest.mark.parametrize("name", ORDERS)
def test_reflections_needed(name):
    elements, _ = group_representation(name)
    assert min_reflections(elements).max() == REFLECTIONS.get(name, 2)


@pytest.mark.parametrize(("name", "turns"), [("A4", 12), ("S4", 24), ("A5", 60)])
def test_rotation_groups_of_solids_are_rotations(name, turns):
    elements, _ = group_representation(name)
    np.testing.assert_allclose(np.linalg.det(elements), 1, atol=1e-13)
    assert len(elements) == turns


def test_five_cycles_take_four_reflections_as_permutations_do():
    """The rank of P - I for a permutation matrix is n less the number of cycles."""
    elements, _ = group_representation("S5")
    for matrix, permutation in zip(elements, itertools.permutations(range(5)), strict=True):
        difference = np.eye(5)[:, list(permutation)] - np.eye(5)
        assert min_reflections(matrix) == np.linalg.matrix_rank(difference)


def test_answers_are_the_caller_s_own():
    for like in (None, torch.ones(1, dtype=torch.float64)):
        elements, table = group_representation("S3", like=like)
        elements[:], table[:] = 0, 0
    again, table = group_representation("S3")
    np.testing.assert_allclose(again[0], np.eye(2), atol=1e-15)
    assert table[0, 1] == 1


@pytest.mark.parametrize("name", ["S6", "A3", "Z1", "D0", "Z02", "s3", "", "S55", "Q8"])
def test_unknown_names(name):
    with pytest.raises(ValueError, match="name must be one of A4, A5, S3, S4, S5, Dm, Zm"):
        group_representation(name)


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="name must be a string"):
        group_representation(5)
