"""What is due at a time, sent as commands under ids that are the same for all who send them.

job      what a job is, and when it is due
jobs     those that are registered
clock    goes through what is due: one turn after another, at the time that it is told
"""
