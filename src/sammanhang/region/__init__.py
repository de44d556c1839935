"""A synthetic region: real structure, fictional people, the same for the same seed.

`generate` gives every resource of it as a stream; `create` loads it into a database. What it is made
of stands as data in `content/region/`. Resources share parts that do not change (codes, references,
quantities): read them, do not write into them. Only `meta` is each resource's own.
"""
