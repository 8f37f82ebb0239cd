"""Keeps float32's decisions while the networks run in a lower precision.

Each image goes through the fast networks. If one of the numbers that determine its answer is so near a
limit that the error of these networks could change the answer, the image also goes through the float32
networks, whose answer is used: ``stability`` and ``margins`` find these images, ``bands`` measures the
errors and derives from them how near is too near, ``trial`` settles whether the fast networks pay, and
``guard`` takes images through the networks.
"""
