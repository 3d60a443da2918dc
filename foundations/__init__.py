"""The toy exercises and the sanity checks that slime runs too; nothing here imports slime."""
