# SPDX-License-Identifier: MIT
"""Drop-in modules for code that uses other packages today; docs/MIGRATION.md puts their functions beside mien's own.

from mien.compat.fer import FER, Video          # was: from fer.fer import FER; from fer.classes import Video
from mien.compat.opencv import CascadeClassifier # was: from cv2 import CascadeClassifier
from mien.compat.deepface import DeepFace       # was: from deepface import DeepFace
from mien.compat.face_classification import *   # was: from utils.inference import ..., from keras.models import load_model
"""
