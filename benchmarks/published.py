"""Published figures, each with the place where it stands.

A constant here is a figure that somebody else reported, or that their released code gives when it
is run; it is never an output of this library.
"""
