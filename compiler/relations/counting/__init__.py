"""How many integer points a set has, in closed form."""
