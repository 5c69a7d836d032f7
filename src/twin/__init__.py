"""The int8 twin: a network of parts that are fast in int8, which answers as the trained one."""
