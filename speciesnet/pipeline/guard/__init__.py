"""Keeps the answers of float32 while the networks run in a lower precision.

Each image goes through the fast networks. If one of the numbers that determine its answer is so close
to a threshold that the error of these networks could change the answer, the image also goes through
the float32 networks, and their answer is used. ``stability`` and ``margins`` find these images, ``bands``
measures the errors and derives how close is too close, ``trial`` determines whether the fast networks
are worthwhile, and ``guard`` passes images through the networks. The answer for a film is determined
as a whole, from the numbers of all its frames; see ``films``.
"""
