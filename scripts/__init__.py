"""Generators of the tables that ipydock ships."""
