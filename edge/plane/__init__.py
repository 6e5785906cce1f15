"""The data plane: HTTP/1.1 from the visitor's socket to the upstream's and back.

server.py     listens, sweeps deadlines, drains
client.py     one visitor's connection: heads in, answers out, in order
memory.py     heads already parsed and verified
recognise.py  from a head's bytes to what the pipeline knows of it
decider.py    what the plane asks of the pipeline
request.py    what a request's head means: bytes -> value
response.py   what a response's head means, and how the edge's own answers are written
hop.py        what of a head goes on to the other side
body.py       how a body is cut and passed on
exchange.py   one forwarded request: both directions, coupled
upstream.py   one connection to the upstream, and the pool of them
splice.py     an upgraded connection: bytes both ways
"""
