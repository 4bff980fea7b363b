"""Checkpoints of other tools in, stock models and ONNX graphs out."""
