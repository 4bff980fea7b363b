"""The names and files of MT-DNN: task definitions, rows, scores."""
