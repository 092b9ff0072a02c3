"""From a trained model to a TensorFlow Lite file that carries its own proof: the bundle."""
