"""Groups of parameters for an optimiser: the dynamics apart from the rest."""

from __future__ import annotations

from typing import Any

from torch import nn

from numerics.arrays import as_float


def optimizer_groups(
    module: nn.Module, *, lr: float, state_lr: float = 1e-3, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Parameters of a network in groups, those of state-space dynamics apart.

    Steps, state matrices and input vectors are trained slowly and without weight decay: small
    changes of theirs change what is remembered, and decay would pull the logarithm of a step to 0.
    Each layer lists them in ``state_parameters``; everything else in the network is the other
    group.

    Parameters
    ----------
    module : torch.nn.Module
        Network, or a layer.
    lr, weight_decay : float
        For the rest.
    state_lr : float
        Learning rate of the dynamics; it is not taken beyond ``lr``.

    Returns
    -------
    list of dict
        Groups that any optimiser of torch takes: the rest, then the dynamics. A group without
        parameters is left out, as are parameters that need no gradient.

    Raises
    ------
    TypeError, ValueError
        For a ``module`` that is none, rates that are not positive, and a negative ``weight_decay``.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4).

    Examples
    --------
    >>> import torch
    >>> from ssm.nn import S4D
    >>> network = torch.nn.Sequential(S4D(4, 8), torch.nn.Linear(4, 2))
    >>> groups = optimizer_groups(network, lr=0.01, weight_decay=0.05)
    >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]
    [(4, 0.01, 0.05), (4, 0.001, 0.0)]
    >>> optimizer = torch.optim.AdamW(groups)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch module, got {type(module).__name__}")
    lr, state_lr = as_float("lr", lr, positive=True), as_float("state_lr", state_lr, positive=True)
    weight_decay = as_float("weight_decay", weight_decay)
    if weight_decay < 0:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
    dynamics = {
        id(getattr(layer, name))
        for layer in module.modules()
        for name in getattr(layer, "state_parameters", ())
    }
    learnt = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in learnt if id(p) not in dynamics],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {
            "params": [p for p in learnt if id(p) in dynamics],
            "lr": min(lr, state_lr),
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]
