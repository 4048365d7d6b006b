"""What was measured and published, and the code that makes tables and the paper's figures of it."""
