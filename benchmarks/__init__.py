r"""Benchmarks: the papers' figures recomputed, and our time beside the peers' in the same run.

Commands
--------
``python -m benchmarks``
    list the registered benchmarks, one line each.
``python -m benchmarks NAME [--quick] [--data DIRECTORY] [--json FILE] [--plot FILE]``
    run one, print its tables and checks, and write its record and its figures. Benchmarks that
    take more data than the repository holds look for them in DIRECTORY.
``python -m benchmarks.reproduce [--quick] [--html FILE] [--json DIRECTORY] [--only NAME ...]``
    run them all, print the tables side by side and write one self-contained page. It takes
    ``--data`` as well.

The records of full runs are kept in ``benchmarks/results/NAME.json``.

Adding a benchmark
------------------
Put one file ``benchmarks/NAME.py`` here; it is found without being listed anywhere::

    from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark


    @benchmark(
        "NAME", title="What is measured", paper="arXiv 2206.11893", summary="One line."
    )
    def run(context: Context) -> Record:
        timings = context.time_interleaved(
            {"ours": f, "peer": g}, repeats=7, baseline="peer"
        )
        ratio = timings["ours"].ratio
        return context.record(
            asked="At most twice the peer's time.",
            tables=[
                Table("Time", ["path", Column("time (ms)")], [("ours", timings["ours"].ms)])
            ],
            checks=[Check.at_most("time against the peer", ratio, 2.0, unit="x")],
            figures=[Figure("Time", "What the picture shows.", draw)],
        )

``draw`` takes an empty :class:`matplotlib.figure.Figure` and draws on it; it is called only when a
picture is wanted. Files whose names start with an underscore are not searched. Published figures
are constants with their source in ``benchmarks/published.py``; put one in a table cell as it is
and its source becomes a footnote. Optional packages come from ``context.optional("pywt")`` (the
module, or ``None`` after noting that its rows are left out) or ``context.require("pywt")`` (which
skips the whole benchmark).

The record
----------
``--json`` writes one object with these keys:

``schema``
    1.
``name``, ``title``, ``paper``, ``summary``, ``asked``
    strings; ``asked`` is the target in words.
``status``
    ``"ok"``, ``"skipped"`` or ``"failed"``, with the reason in ``message``.
``quick``, ``seconds``
    whether this was the quick form, and how long the benchmark took in all.
``tables``
    list of ``{"title", "columns", "formats", "rows", "cells", "note", "sources"}``: ``columns``
    are the headings with their units, ``rows`` the values (numbers, strings or null, one list a
    row), ``cells`` the same as they are printed (all strings), ``sources`` the footnotes.
``checks``
    list of ``{"what", "target", "measured", "met", "value", "limit"}``: three strings to print,
    whether the target was met, and the two numbers where there are any.
``figures``
    list of ``{"title", "caption"}``.
``skipped``
    list of strings, one for each thing left out for want of an optional package.
``environment``
    ``{"date", "platform", "cpu", "cores", "memory", "threads", "gpu", "versions"}``: strings and
    numbers, with ``threads`` and ``versions`` as objects.
"""
