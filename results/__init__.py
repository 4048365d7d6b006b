"""What was measured and published, and the code that makes tables and the paper's figures of it."""
import tfisovae  # noqa: F401  It sets what TensorFlow reads when it is first imported.
