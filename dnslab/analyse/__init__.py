"""Numbers only: lookups in, counts, quantiles and intervals out."""
