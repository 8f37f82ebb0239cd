"""Keeps float32's decisions while the networks run in a lower precision.

Each image goes through the fast networks. Where one of the numbers that decide it is so near to a limit
that the error of these networks could change the answer, it goes through the float32 networks as well,
whose answer counts: ``stability`` and ``margins`` find these images, ``bands`` measures the errors and
derives from them how near is too near, ``trial`` settles whether the fast networks pay, and ``guard``
takes images through the networks.
"""
