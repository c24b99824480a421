"""Two executed notebooks in, a verdict out."""
