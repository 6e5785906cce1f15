"""The proxy: HTTP/1.1 from the visitor's socket to the upstream's and back. Imports go one way, upwards in this list.

dial.py                connects to a host with several addresses
server_address.py      where a server is, and how a connection to it is opened
minimum_rate.py        the minimum rate of a body
body.py                how a body is cut and passed on
request.py             where a request's head ends and what it means: bytes -> value
hop_by_hop.py          which fields of a head go on to the other side
response.py            what the head of an upstream's response means
response_writer.py     the edge's own responses as bytes
private.py             keeps shared caches from storing an answer with a cookie of the edge
limits.py              limits and times, read from the settings
head_memory.py         two generations of heads
parsed_head.py         a head as its connection uses it
replayed.py            the head of a request that is sent in place of the visitor's own
head_cache.py          heads that were parsed and verified before
acceptor.py            the listening sockets, open or paused
connection_counter.py  connections of each network
connection_table.py    all visitors' connections and their deadlines
pending.py             abstract: a request that its connection waits for
upstream.py            one connection to the upstream; abstract: its user and its owner
upstream_pool.py       all connections to one server, and the requests that wait for one
upstream_server.py     one server: its connections, whether it is up, what its requests met
upstreams.py           all servers of the upstream: which one a request goes to
state.py               what all connections share
server_tls.py          TLS of a listener: certificates by name, read again when their files change
listener.py            one listening socket: what a connection to it begins with
proxy_header.py        the PROXY protocol: which visitor a proxy's connection is for
unwanted_body.py       the body of a request that the edge has answered itself
connection.py          a visitor's connection as bytes; abstract: what a pending request may ask of it
tunnel.py              an upgraded connection: bytes both ways
upload.py              a request's body on its way to the upstream
form_reader.py         a form of a waiting visitor: its body is read before the answer
route.py               the way of an exchange to a server, and what it reports
exchange.py            one forwarded request: both directions, coupled
deferred.py            a request with a verdict that comes later
answering.py           how a connection writes the edge's own answers
client.py              a visitor's connection as requests: heads in, responses out, in order
greeting.py            a connection before HTTP: PROXY header, TLS handshake
server.py              listens, sweeps deadlines, drains
"""
