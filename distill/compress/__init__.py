"""Smaller networks from trained ones: pruned, factorised, clustered, quantised."""
