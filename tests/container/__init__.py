"""The image without Docker: what its Dockerfile and its lock files promise. ``follow`` carries the lines out."""
