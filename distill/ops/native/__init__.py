"""Kernels in C++ for a CPU, compiled for this machine the first time that they are wanted."""

from distill.ops.native.build import library, prepare

__all__ = ["library", "prepare"]
