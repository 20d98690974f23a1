# SPDX-License-Identifier: MIT
"""Converters and reference arithmetic of mien: Keras models and OpenCV cascades to .mien files.

errors       one-line errors and exit codes
format       .mien files: write, read, validate              (docs/FILE_FORMAT.md)
image        gray and bilinear resize, bit-equal to OpenCV's
images     calibration images from .npz or folders, synthetic ones
tensor_ops   convolution and pooling in numpy
keras_file   Keras HDF5 and .keras files, without Keras
fold         Keras layers to mien layers, still in real numbers
quantize     calibration, ranges, rounding: mien layers to integers
reference    the float network and the integer network, in plain numpy   (docs/QUANTIZATION.md)
cascade      OpenCV's cascade XML
"""

__version__ = "1.0"
