r"""What is asked of the solution at the ends of an axis.

A Dirichlet condition gives the value of u, a Neumann condition its derivative along the outward
normal, and a periodic axis has no ends. The datum is a number, values along the edge, or a
callable of all the coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numerics.arrays import Array

Datum = float | Array | Callable[..., Array]


@dataclass(frozen=True)
class Dirichlet:
    r"""The value on the boundary: :math:`u = g`.

    Parameters
    ----------
    g : float, array or callable
        A number; values along the edge, at the points of the other axis' grid; or a function of
        the coordinates, one array an axis.

    Examples
    --------
    A plain datum means the same.

    >>> Dirichlet(2.0)
    Dirichlet(g=2.0)
    """

    g: Datum


@dataclass(frozen=True)
class Neumann:
    r"""The derivative along the outward normal: :math:`\partial u/\partial n = g`.

    At the lower end of an axis that is minus the derivative along the axis.

    Parameters
    ----------
    g : float, array or callable
        A number; values along the edge, at the points of the other axis' grid; or a function of
        the coordinates, one array an axis.

    Examples
    --------
    An insulated end.

    >>> Neumann(0.0)
    Neumann(g=0.0)
    """

    g: Datum


@dataclass(frozen=True)
class Periodic:
    r"""No boundary: u continues with the period of the axis' length.

    The last point of the grid is the first one again, a period later.

    Examples
    --------
    >>> Periodic()
    Periodic()
    """


Condition = Dirichlet | Neumann | Periodic
