"""How the cost of an ack grows with what is kept, what waits, instances, bodies and users."""
