"""Keeps float32's decisions while the networks run in a lower precision.

Each image goes through the fast networks. If one of the numbers that determine its answer is so close
to a threshold that the error of these networks could change the answer, the image also goes through
the float32 networks, whose answer is used. ``stability`` and ``margins`` find these images, ``bands``
measures the errors and derives how close is too close, ``trial`` determines whether the fast networks
are worthwhile, and ``guard`` passes images through the networks. A film is decided as a whole, from the
numbers of all its frames; see ``films``.
"""
