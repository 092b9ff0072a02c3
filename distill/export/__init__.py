"""From a trained model to a file for a phone, with what is needed to read and to check it."""
