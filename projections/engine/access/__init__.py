"""Who sees and changes the rows of read models.

rights      owners, grants and row-level security of a build, from what its tables are
takeover    read models of older versions made the log's owner's
"""
