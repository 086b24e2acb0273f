"""StageSync keeps a CRM's stages true."""

__version__ = "0.1.0"
