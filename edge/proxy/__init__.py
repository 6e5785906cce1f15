"""The data plane: HTTP/1.1 from the visitor's socket to the upstream's and back.

server.py      listens, sweeps deadlines, drains
entrance.py    the listening sockets, open or shut
census.py      how many connections each network has
connection.py  a visitor's connection as bytes: when it is read, how it ends
client.py      the same as requests: heads in, answers out, in order
memory.py      heads already parsed and verified
recognise.py   from a head's bytes to what the pipeline knows of it
decider.py     what the plane asks of the pipeline
asked.py       a request whose verdict comes later
request.py     where a request's head ends and what it means: bytes -> value
response.py    what a response's head means, and how the edge's own answers are written
hop.py         what of a head goes on to the other side
body.py        how a body is cut and passed on
exchange.py    one forwarded request: both directions, coupled
upload.py      a request's body on its way to the upstream
pace.py        the least rate at which it must come
upstream.py    one connection to the upstream
pool.py        all of them, and who waits for one
breaker.py     when the upstream is left alone for a while
splice.py      an upgraded connection: bytes both ways
"""
