# SPDX-License-Identifier: MIT
"""What goes wrong, with the engine's own words. Wrong arguments are ValueError and TypeError, missing files OSError."""

from __future__ import annotations


class Error(Exception):
    """Of the engine."""


class WeightsError(Error, ValueError):
    """A weights file is damaged, of another kind, or none; the text names it."""


class PictureWarning(UserWarning):
    """An image is damaged and was read as far as it goes. warnings.simplefilter("error",
    PictureWarning) makes an exception of it."""


class PictureError(Error, ValueError):
    """An image cannot be decoded or is too large; the text names the file if there is one."""
