"""From a saved model to predictions, annotated documents and scores."""
