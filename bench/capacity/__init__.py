"""The capacity benchmark: what four key sets give, against one, a split by feature, and the modulo alone."""
