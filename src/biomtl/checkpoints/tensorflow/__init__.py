"""TensorFlow BERT checkpoints, read and written without TensorFlow."""

from biomtl.checkpoints.tensorflow.bundle import Bundle, Variable
from biomtl.checkpoints.tensorflow.writer import write_bundle

__all__ = ["Bundle", "Variable", "write_bundle"]
