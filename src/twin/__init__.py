"""The int8 twin: a network distilled from the trained one, of parts that are fast in int8."""
