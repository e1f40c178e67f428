"""The HTTP API and the console: `ledgerctl serve web`.

    a request ──▶ guard         host, size, headers, id; errors as RFC 9457 or as a page
              ──▶ viewer        a token or a session: who asks, with which role; limits
              ──▶ rights        whether they may do that
              ──▶ answers       asked as who they are, in one read-only transaction: row-level
                                security decides what they see
              ──▶ an endpoint of api/, or a page of pages/ with a template

The program's login has no rights of its own and takes on those of who asks, for a transaction
(database.py). It keeps sessions and approvals; users and tokens lie in files of mode 0600.
"""
